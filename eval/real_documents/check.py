"""Hold the questions against the fetched documents: every gold text must stand on its gold page.

Usage: python -m mm_megacontext.eval.real_documents.check DIRECTORY
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mm_megacontext.errors import MegaContextError
from mm_megacontext.eval.real_documents.dataset import Question, load_questions, load_samples
from mm_megacontext.eval.real_documents.manifest import RealDocument, load_manifest


def find_problems(directory: Path, questions: Sequence[Question], documents: Sequence[RealDocument]) -> list[str]:
    """What is wrong with a set, one line each; none if all is well."""
    known = {document.name for document in documents}
    problems = [f"{id}: this id is given {n} times" for id, n in Counter(q.id for q in questions).items() if n > 1]
    problems += [f"{q.id}: no document {q.document} in the manifest" for q in questions if q.document not in known]
    problems += [f"{name}: nothing is asked of it" for name in sorted(known - {q.document for q in questions})]
    for document in documents:
        problems += _gold_problems(directory, [q for q in questions if q.document == document.name], document)
    return problems


def _gold_problems(directory: Path, questions: Sequence[Question], document: RealDocument) -> list[str]:
    """All questions to a document together, which is fast; one by one only if something is wrong."""
    try:
        load_samples(directory, questions=questions, documents=[document])
    except MegaContextError as error:
        if len(questions) == 1:
            return [f"{questions[0].id}: {error}"]
        return [problem for question in questions for problem in _gold_problems(directory, [question], document)]
    return []


def main() -> None:
    """Check the set of this package against the documents in the directory that is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIRECTORY", help="where fetch put the documents")
    questions, documents = load_questions(), load_manifest()
    problems = find_problems(parser.parse_args().directory, questions, documents)
    if problems:
        raise SystemExit("\n".join(problems))
    print(f"{len(questions)} questions to {len(documents)} documents: all gold texts found")


if __name__ == "__main__":
    main()
