"""The allocator under random scores, and its behaviour on documents of the size it is made for."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm_megacontext.errors import IllegalAction
from mm_megacontext.reading import invariants
from mm_megacontext.reading.allocator import FocusAllocator, FocusConfig, Focused, focus
from mm_megacontext.reading.trace import Trace, TraceEvent, replay
from mm_megacontext.reading.working_context import Action, Entry, WorkingContext
from mm_megacontext.tree.in_memory import InMemoryTree
from mm_megacontext.tree.nodes import NodeId
from tests.strategies import UniformTree, assert_is_exact_cut, start, trees

EXAMPLES = 120
MANY_STEPS = 2_000

configs = st.builds(
    FocusConfig,
    max_steps=st.just(MANY_STEPS),
    actions_per_step=st.sampled_from([2, 3, 8, 64]),
    hysteresis=st.sampled_from([0.0, 0.1, 0.5]),
    cooldown=st.integers(0, 3),
    expand_threshold=st.sampled_from([-0.5, 0.0, 0.3]),
    collapse_threshold=st.sampled_from([None, -0.6]),
)


def constant_scores(seed: int, levels: int) -> Callable[[Entry], float]:
    """A fixed score for every node and for its leaves; few levels make many ties."""

    def score(entry: Entry) -> float:
        value = random.Random(f"{seed} {entry.id} {entry.is_expanded}").uniform(-1, 1)
        return round(value * levels) / levels

    return score


def score_all(score: Callable[[Entry], float]) -> Callable[[WorkingContext], list[float]]:
    return lambda context: [score(entry) for entry in context]


def apply_one_by_one(context: WorkingContext, actions: list[Action]) -> WorkingContext:
    """Every intermediate state must be a legal context within budget."""
    for action in actions:
        cost = context.cost
        context = context.apply([action])
        invariants.check(context)
        assert context.cost - cost == action.cost_delta
    return context


@settings(max_examples=EXAMPLES)
@given(tree=trees(), capacity=st.integers(1, 300), config=configs, seed=st.integers(0, 2**32), data=st.data())
def test_invariants_hold_after_every_action_whatever_the_scores(
    tree: InMemoryTree, capacity: int, config: FocusConfig, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    context, allocator = start(tree, capacity), FocusAllocator(config)
    for _ in range(data.draw(st.integers(1, 6), label="steps")):
        actions = allocator.decide(context, rng.uniform(-1, 1, len(context)))
        assert len(actions) <= config.actions_per_step
        after = apply_one_by_one(context, actions)
        assert context.apply(actions).cut == after.cut
        context = after
    invariants.check(context, deep=True)
    assert_is_exact_cut(context, tree)


@settings(max_examples=EXAMPLES)
@given(
    tree=trees(),
    capacity=st.integers(1, 200),
    config=configs,
    seed=st.integers(0, 2**32),
    levels=st.sampled_from([1, 4, 1000]),
)
def test_constant_scores_reach_a_fixed_point_without_repeating_a_state(
    tree: InMemoryTree, capacity: int, config: FocusConfig, seed: int, levels: int
) -> None:
    """A cut may come back only if something was seen in between that had never been seen before."""
    score = constant_scores(seed, levels)
    seen: set[tuple[NodeId, bool]] = set()
    states = set()
    context, allocator = start(tree, capacity), FocusAllocator(config)
    for _ in range(MANY_STEPS):
        seen |= set(context.cut)
        state = (context.cut, len(seen))
        actions = allocator.decide(context, [score(entry) for entry in context])
        if not actions and not allocator.is_cooling:
            break
        if actions:
            assert state not in states
            states.add(state)
        context = context.apply(actions)
    else:
        pytest.fail("no fixed point")
    assert allocator.decide(context, [score(entry) for entry in context]) == []
    result = focus(start(tree, capacity), score_all(score), config)
    assert result.is_settled
    assert result.context.cut == context.cut


@settings(max_examples=EXAMPLES)
@given(tree=trees(), capacity=st.integers(1, 300), config=configs, seed=st.integers(0, 2**32))
def test_the_trace_replays_to_the_same_cut(
    tree: InMemoryTree, capacity: int, config: FocusConfig, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    events: list[TraceEvent] = []
    result = focus(start(tree, capacity), score_all(constant_scores(seed, 1000)), config, events.append)
    path = tmp_path_factory.mktemp("trace") / "trace.jsonl"
    Trace(tuple(events)).write(path)
    trace = Trace.read(path)
    assert trace == Trace(tuple(events))
    contexts = list(replay(start(tree, capacity), trace))
    assert contexts[-1].cut == result.context.cut
    assert [(context.cost, len(context)) for context in contexts] == [(e.cost, e.entries) for e in events]
    assert events[-1].actions == ()
    assert list(events[-1].scores.values()) == result.scores.tolist()
    assert sum(action.cost_delta for action in trace.actions) == result.context.cost - start(tree, capacity).cost


def hinted(targets: Mapping[NodeId, float], elsewhere: float = -0.3) -> Callable[[Entry], float]:
    """Scores as hints make them: every ancestor of a target is worth the target."""

    def score(entry: Entry) -> float:
        return max([value for id, value in targets.items() if entry.node.covers(id)], default=elsewhere)

    return score


def expanded(result: Focused) -> set[NodeId]:
    return {entry.id for entry in result.context if entry.is_expanded}


TEN_THOUSAND_PAGES = UniformTree([10, 32, 32, 8, 4])


def test_ten_thousand_pages_to_the_leaves_of_eight_blocks_within_480() -> None:
    """Eight blocks on eight pages of two neighbouring groups: 10 + 2·31 + 2·31 + 8·(7 + 3 + 31) = 462."""
    tree = TEN_THOUSAND_PAGES
    targets = {tree.at([3 + 4 * (page % 2), 5, page * 3, page, 2]): 0.9 for page in range(8)}
    result = focus(WorkingContext.start(tree, 480), score_all(hinted(targets)))
    assert expanded(result) == set(targets)
    assert result.context.cost == 462
    assert result.is_settled
    assert result.steps <= 8
    invariants.check(result.context, deep=True)


@pytest.mark.parametrize("gap", [0.0, 0.005, 0.05])
@pytest.mark.parametrize("actions_per_step", [2, 16, 64])
@pytest.mark.parametrize("seed", range(2))
def test_scattered_targets_do_not_block_each_other_half_way(gap: float, actions_per_step: int, seed: int) -> None:
    """A path alone costs 103 and eight do not fit: the best are read to the end, the losers pay for them."""
    rng, tree = random.Random(seed), TEN_THOUSAND_PAGES
    groups = rng.sample(range(10), 8)
    targets = {tree.at([g, *(rng.randrange(a) for a in tree.arities[1:])]): 0.9 - gap * i for i, g in enumerate(groups)}
    config = FocusConfig(actions_per_step=actions_per_step, max_steps=60)
    result = focus(WorkingContext.start(tree, 480), score_all(hinted(targets)), config)
    assert result.is_settled
    best = sorted(targets, key=lambda id: (-targets[id], id))[:4]
    assert expanded(result) == set(best)
    invariants.check(result.context, deep=True)


def two_pages() -> tuple[UniformTree, WorkingContext]:
    """Two groups of eight blocks."""
    tree = UniformTree([2, 8])
    return tree, WorkingContext.start(tree, 45).expand([tree.at([])])


def test_a_disappointing_path_is_closed_and_the_known_better_one_opened_again() -> None:
    """Group 0 holds evidence worth 0.4. Once it is read, group 1 promises 0.95, and holds nothing."""
    tree, context = two_pages()
    evidence = tree.at([0, 3])
    values = {tree.at([0]): 0.4, evidence: 0.4}

    def score(context: WorkingContext) -> list[float]:
        if context.by_id.get(evidence) in [entry for entry in context if entry.is_expanded]:
            values[tree.at([1])] = 0.95
        return [values.get(entry.id, -0.5) for entry in context]

    events: list[TraceEvent] = []
    result = focus(context, score, FocusConfig(max_steps=50), events.append)
    opened = [action.id for event in events for action in event.actions if action.kind == "expand"]
    assert opened == [tree.at([0]), evidence, tree.at([1]), evidence]
    assert expanded(result) == {evidence}
    assert result.is_settled


@pytest.mark.parametrize(("promise", "moves"), [(0.45, False), (0.55, True)])
def test_hysteresis_protects_what_is_read(promise: float, moves: bool) -> None:
    tree, context = two_pages()
    context = context.expand([tree.at([0])]).expand([tree.at([0, 0])])  # cost 40 of 45
    scores = [0.4 if entry.is_expanded else promise if entry.id == tree.at([1]) else -0.5 for entry in context]
    actions = FocusAllocator(FocusConfig(hysteresis=0.1)).decide(context, scores)
    assert actions == (
        [Action("collapse", tree.at([0, 0]), 0.4, -31), Action("expand", tree.at([1]), 0.55, 7)] if moves else []
    )


def test_payment_takes_the_least_worthy_and_no_more_than_needed() -> None:
    tree = UniformTree([4, 8])
    context = WorkingContext.start(tree, 72).expand([tree.at([])])
    context = context.expand([tree.at([0]), tree.at([1]), tree.at([2])]).expand([tree.at([0, 0])])  # 25 + 31 = 56
    values = {
        tree.at([0, 0]): 0.5,
        tree.at([1, 1]): 0.1,
        tree.at([2, 2]): -0.1,
        tree.at([3]): -0.2,
        tree.at([0, 5]): 0.9,
    }
    scores = [values.get(entry.id, -0.5) for entry in context]
    actions = FocusAllocator().decide(context, scores)
    # 31 more for [0, 5], 16 are free: the two empty-handed groups (14) do not pay for it, so their sum with the
    # block does, and the groups are spared.
    assert actions == [Action("collapse", tree.at([0, 0]), 0.5, -31), Action("expand", tree.at([0, 5]), 0.9, 31)]


def test_what_was_done_is_not_reversed_during_the_cooldown() -> None:
    """Two groups of which one fits; each in turn is wanted more than ever."""
    tree = UniformTree([2, 8])
    context = WorkingContext.start(tree, 9).expand([tree.at([])])
    allocator = FocusAllocator(FocusConfig(cooldown=2, hysteresis=0.0))
    history = []
    for favourite, value in [(0, 0.5)] + [(1, 0.7)] * 3 + [(0, 0.9)] * 3:
        scores = [value if tree.path(entry.id)[0] == favourite else -0.5 for entry in context]
        actions = allocator.decide(context, scores)
        history.append([(action.kind, tree.path(action.id)) for action in actions])
        assert allocator.is_cooling
        context = context.apply(actions)
    assert history == [
        [("expand", [0])],
        [],
        [],
        [("collapse", [0]), ("expand", [1])],
        [],
        [],
        [("collapse", [1]), ("expand", [0])],
    ]


def test_what_was_collapsed_is_not_expanded_during_the_cooldown() -> None:
    tree = UniformTree([8])
    context = WorkingContext.start(tree, 99)
    allocator = FocusAllocator(FocusConfig(cooldown=2, collapse_threshold=-0.5))
    history = []
    for score in [0.5, -0.9, -0.9, -0.9, 0.9, 0.9, 0.9]:
        actions = allocator.decide(context, [score] * len(context))
        history.append([action.kind for action in actions])
        context = context.apply(actions)
    assert history == [["expand"], [], [], ["collapse"], [], [], ["expand"]]


def test_a_node_that_others_opened_is_known_by_what_it_held_until_its_score_moves() -> None:
    tree = UniformTree([8])
    context = WorkingContext.start(tree, 99).expand([tree.at([])])
    allocator = FocusAllocator(FocusConfig(cooldown=0, collapse_threshold=-0.5))
    context = context.apply(allocator.decide(context, [-0.9] * 8))
    assert [len(allocator.decide(context, [score])) for score in (0.5, 0.55, 0.9)] == [0, 0, 1]


def test_a_collapse_threshold_closes_what_nobody_needs() -> None:
    tree, context = two_pages()
    context = context.expand([tree.at([0])]).expand([tree.at([0, 0])])
    scores = [-0.9] * len(context)
    assert FocusAllocator().decide(context, scores) == []
    actions = FocusAllocator(FocusConfig(collapse_threshold=-0.5)).decide(context, scores)
    assert [(action.kind, action.id) for action in actions] == [("collapse", tree.at([]))]
    assert context.apply(actions).cost == 1


def test_a_collapsed_node_whose_score_has_moved_is_a_guess_again() -> None:
    """A new part of the answer asks for something else: what was found for the old one no longer counts."""
    tree = UniformTree([2, 8])
    context = WorkingContext.start(tree, 9).expand([tree.at([])])
    allocator = FocusAllocator(FocusConfig(cooldown=0))
    context = context.apply(allocator.decide(context, [0.6, 0.5]))
    assert list(context.opened) == [tree.at([]), tree.at([0])]
    context = context.apply(allocator.decide(context, [-0.8] * 8 + [0.5]))  # disappointed: to the other group
    assert list(context.opened) == [tree.at([]), tree.at([1])]
    assert allocator.decide(context, [0.6] + [-0.8] * 8) == []
    actions = allocator.decide(context, [0.9] + [-0.8] * 8)
    assert [(action.kind, action.id) for action in actions] == [("collapse", tree.at([1])), ("expand", tree.at([0]))]


def test_stops_when_the_steps_run_out_and_scores_the_last_context() -> None:
    tree = TEN_THOUSAND_PAGES
    score = hinted({tree.at([1, 2, 3, 4, 3]): 1.0})
    events: list[TraceEvent] = []
    result = focus(WorkingContext.start(tree, 480), score_all(score), FocusConfig(max_steps=3), events.append)
    assert (result.steps, result.is_settled, len(events)) == (3, False, 4)
    assert result.scores.tolist() == [score(entry) for entry in result.context]


@pytest.mark.parametrize("bad", [[0.5], [0.1, float("nan")], [float("inf"), 0.0], [[0.1, 0.2]]])
def test_scores_must_be_one_finite_number_per_entry(bad: list[float]) -> None:
    _, context = two_pages()
    with pytest.raises(ValueError, match="need 2 finite scores"):
        FocusAllocator().decide(context, bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"max_steps": 0},
        {"actions_per_step": 1},
        {"cooldown": -1},
        {"hysteresis": -0.1},
        {"hysteresis": float("nan")},
        {"expand_threshold": -0.5, "collapse_threshold": 0.0},
    ],
)
def test_a_config_that_cannot_work_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad)).split("_")[0]):
        FocusConfig(**bad)  # type: ignore[arg-type]


def test_a_trace_of_another_tree_or_a_damaged_file_is_refused(tmp_path: Path) -> None:
    tree = UniformTree([4, 4])
    events: list[TraceEvent] = []
    focus(WorkingContext.start(tree, 60), score_all(hinted({tree.at([1, 1]): 0.5})), on_step=events.append)
    with pytest.raises(IllegalAction):
        list(replay(WorkingContext.start(UniformTree([5, 4]), 60), events))
    path = tmp_path / "trace.jsonl"
    Trace(tuple(events)).write(path)
    path.write_text(path.read_text().replace('"expand"', '"explode"'))
    with pytest.raises(ValueError, match=r"line 1: not a trace event.*explode"):
        Trace.read(path)
