"""Questions on real documents, which Debian packages bring: what to fetch, the questions, and where their answers are.

No document is part of this project: ``fetch`` gets the packages by name, ``check`` holds the questions against them.
"""

from mm_megacontext.eval.real_documents.dataset import KINDS as KINDS
from mm_megacontext.eval.real_documents.dataset import Kind as Kind
from mm_megacontext.eval.real_documents.dataset import Place as Place
from mm_megacontext.eval.real_documents.dataset import Question as Question
from mm_megacontext.eval.real_documents.dataset import Sample as Sample
from mm_megacontext.eval.real_documents.dataset import load_questions as load_questions
from mm_megacontext.eval.real_documents.dataset import load_samples as load_samples
from mm_megacontext.eval.real_documents.manifest import RealDocument as RealDocument
from mm_megacontext.eval.real_documents.manifest import load_manifest as load_manifest
