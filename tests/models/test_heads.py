"""Margin heads against plain double-precision NumPy, and at the ends where formulas break."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evenface.models import RowDraws, create_head, list_heads
from evenface.models.draws import standard_normal
from evenface.models.elasticface import assigned
from evenface.models.margin import additive_angular_margin, safe_sine

NAMES = [
    "adaface",
    "arcface",
    "combined",
    "cosface",
    "curricularface",
    "elasticarcface",
    "elasticarcface_plus",
    "elasticcosface",
    "elasticcosface_plus",
    "magface",
    "normface",
]
FIXED = {name: {"std": 0.0} if name.startswith("elastic") else {} for name in NAMES}
"""Options that make a head a function of its input."""
B, D, C = 16, 8, 5


def make(name, **options):
    torch.manual_seed(1)
    head = create_head(name, embedding_size=D, num_identities=C, **options).double()
    torch.nn.init.normal_(head.weight)
    return head


def batch(seed=0, scale=20.0):
    rng = np.random.default_rng(seed)
    embeddings = torch.from_numpy(rng.normal(size=(B, D)) * scale)
    return embeddings, torch.from_numpy(rng.integers(0, C, B))


def angles(head, embeddings):
    f = embeddings.numpy()
    w = head.weight.detach().numpy()
    cosines = (f / np.linalg.norm(f, axis=1, keepdims=True)) @ (
        w / np.linalg.norm(w, axis=1, keepdims=True)
    ).T
    return np.arccos(cosines)


def with_target(theta, labels, target):
    logits = np.cos(theta)
    logits[np.arange(len(labels)), labels.numpy()] = target
    return logits


def test_names_are_listed():
    assert list_heads() == NAMES


def test_arcface_equals_its_formula():
    head = make("arcface", s=64.0, m=0.3)
    embeddings, labels = batch()
    theta = angles(head, embeddings)
    own = theta[np.arange(B), labels.numpy()]
    assert (own + 0.3 < np.pi).all()
    expected = 64 * with_target(theta, labels, np.cos(own + 0.3))
    np.testing.assert_allclose(head(embeddings, labels).detach().numpy(), expected, atol=1e-9)


def test_cosface_equals_its_formula():
    head = make("cosface")
    embeddings, labels = batch()
    theta = angles(head, embeddings)
    own = theta[np.arange(B), labels.numpy()]
    expected = 64 * with_target(theta, labels, np.cos(own) - 0.35)
    np.testing.assert_allclose(head(embeddings, labels).detach().numpy(), expected, atol=1e-9)


def test_elasticarcface_draws_one_normal_margin_a_sample():
    head = make("elasticarcface", m=0.3, std=0.05)
    embeddings, labels = batch()
    noise = torch.randn(B, generator=torch.Generator().manual_seed(5)).numpy()
    theta = angles(head, embeddings)
    own = theta[np.arange(B), labels.numpy()]
    expected = 64 * with_target(theta, labels, np.cos(own + 0.3 + 0.05 * noise))
    logits = head(embeddings, labels, generator=torch.Generator().manual_seed(5))
    np.testing.assert_allclose(logits.detach().numpy(), expected, atol=1e-5)
    held = make("elasticarcface", m=0.3, std=0.05, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(held(embeddings, labels), logits)
    assert not torch.equal(held(embeddings, labels), logits)


def test_elasticarcface_margins_have_the_stated_spread():
    head = create_head("elasticarcface", embedding_size=2, num_identities=2, s=1.0).double()
    head.weight.data = torch.eye(2, dtype=torch.float64)
    embeddings = torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(20_000, 2)
    labels = torch.zeros(20_000, dtype=torch.int64)  # θ = π/2: the logit is −sin m
    logits = head(embeddings, labels, generator=torch.Generator().manual_seed(0))
    margins = -torch.asin(logits[:, 0].detach())
    assert margins.mean() == pytest.approx(0.5, abs=2e-3)
    assert margins.std() == pytest.approx(0.05, rel=0.03)


def test_adaface_equals_its_formula_and_moves_its_statistics():
    head = make("adaface")
    embeddings, labels = batch(scale=30.0)
    norms = np.linalg.norm(embeddings.numpy(), axis=1).clip(1e-3, 100)
    mean = 0.99 * 20 + 0.01 * norms.mean()
    std = 0.99 * 100 + 0.01 * norms.std(ddof=1)
    z = np.clip((norms - mean) / (std + 1e-3) * 0.333, -1, 1)
    theta = angles(head, embeddings)
    own = theta[np.arange(B), labels.numpy()]
    target = np.cos(np.clip(own - 0.4 * z, 0, np.pi)) - (0.4 + 0.4 * z)
    logits = head(embeddings, labels).detach().numpy()
    np.testing.assert_allclose(logits, 64 * with_target(theta, labels, target), atol=1e-4)
    assert float(head.batch_mean) == pytest.approx(mean, rel=1e-6)
    assert float(head.batch_std) == pytest.approx(std, rel=1e-6)
    assert {"batch_mean", "batch_std"} <= set(head.state_dict())


@pytest.mark.parametrize(("norm", "angle", "added"), [(90.0, -0.4, 0.8), (1.0, 0.4, 0.0)])
def test_adafaces_margin_ends_at_one_deviation(norm, angle, added):
    # Norms of 20 ± 1: either one is far beyond three deviations, where h · z is 1 or −1.
    head = create_head("adaface", embedding_size=2, num_identities=2, s=1.0).double().eval()
    head.batch_mean.fill_(20.0)
    head.batch_std.fill_(1.0)
    head.weight.data = torch.eye(2, dtype=torch.float64)
    theta = 1.1
    face = torch.tensor([[norm * math.cos(theta), norm * math.sin(theta)]], dtype=torch.float64)
    logits = head(face, torch.tensor([0])).detach()
    assert float(logits[0, 0]) == pytest.approx(math.cos(theta + angle) - added, abs=1e-6)


def test_adaface_reads_quality_from_the_norm_and_keeps_still_in_evaluation():
    head = make("adaface").eval()
    embeddings, labels = batch()
    strong, weak = head(embeddings * 4, labels), head(embeddings / 4, labels)
    own = torch.arange(B), labels
    assert not torch.allclose(strong[own], weak[own])
    torch.testing.assert_close(head(embeddings * 4), head(embeddings / 4))
    assert float(head.batch_mean) == 20.0
    assert float(head.batch_std) == 100.0


@pytest.mark.parametrize("name", NAMES)
def test_margin_in_both_modes_and_none_without_labels(name):
    head = make(name, **FIXED[name]).eval()
    embeddings, labels = batch()
    plain = head(embeddings)
    np.testing.assert_allclose(plain.detach().numpy(), 64 * np.cos(angles(head, embeddings)))
    in_evaluation = head(embeddings, labels)
    own = torch.nn.functional.one_hot(labels, C).bool()
    if name == "normface":
        torch.testing.assert_close(in_evaluation, plain)
    else:
        # With its easy margin MagFace leaves cosines at or below 0 as they are.
        margin = plain[own] > 0 if name == "magface" else torch.ones(len(labels), dtype=torch.bool)
        assert (in_evaluation[own] < plain[own])[margin].all()
    if name != "curricularface":  # which changes hard negatives too
        torch.testing.assert_close(in_evaluation[~own], plain[~own])
    if name not in ("adaface", "curricularface"):  # whose statistics move in training
        torch.testing.assert_close(head.train()(embeddings, labels), in_evaluation)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name):
    head = make(name, **FIXED[name]).eval()
    embeddings, labels = batch()
    embeddings, labels = embeddings[:4], labels[:4]

    def logits(f, w):
        return torch.func.functional_call(head, {"weight": w}, (f, labels))

    # AdaFace reads the norm without a gradient, which finite differences would see.
    embeddings.requires_grad_(name != "adaface")
    assert torch.autograd.gradcheck(logits, (embeddings, head.weight.detach().requires_grad_()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_finite_where_the_angle_is_nothing_or_pi(name, dtype, sign):
    head = create_head(name, embedding_size=D, num_identities=C).to(dtype)
    embeddings = (sign * 30 * head.weight.detach()[:4]).requires_grad_()
    logits = head(embeddings, torch.arange(4))
    torch.nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    for gradient in (embeddings.grad, head.weight.grad):
        assert torch.isfinite(gradient).all()
    assert logits.abs().max() < 64 * 3.1


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_autocast_gives_single_precision_logits(name, half):
    head = create_head(name, embedding_size=D, num_identities=C).eval()
    embeddings, labels = batch()
    with torch.autocast("cpu", dtype=half):
        logits = head(embeddings.float(), labels, generator=torch.Generator().manual_seed(0))
    assert logits.dtype == torch.float32
    torch.testing.assert_close(
        logits, head(embeddings.float(), labels, generator=torch.Generator().manual_seed(0))
    )


@given(
    theta=st.lists(st.floats(0, math.pi), min_size=2, max_size=20),
    margin=st.floats(0, math.pi),
)
def test_angular_margin_falls_over_all_angles_and_never_helps(theta, margin):
    ordered = torch.tensor(sorted(theta), dtype=torch.float64)
    shifted = additive_angular_margin(torch.cos(ordered), margin)
    assert (shifted.diff() <= 1e-4).all()
    assert (shifted <= torch.cos(ordered) + 1e-4).all()
    inside = ordered + margin < math.pi - 1e-6
    expected = torch.cos(ordered + margin)
    assert torch.allclose(shifted[inside], expected[inside], atol=3e-5)


def test_angular_margin_is_exact_at_the_ends():
    ends = torch.tensor([1.0, -1.0], dtype=torch.float64)
    shifted = additive_angular_margin(ends, 0.5)
    assert shifted[0] == pytest.approx(math.cos(0.5))
    assert shifted[1] == pytest.approx(-2 + math.cos(0.5))


@settings(max_examples=50)
@given(st.floats(-1, 1))
def test_safe_sine(cosine):
    value = torch.tensor(cosine, dtype=torch.float64, requires_grad=True)
    sine = safe_sine(value)
    sine.backward()
    assert float(sine.detach()) == pytest.approx(math.sqrt(1 - cosine**2), abs=3e-5)
    assert abs(float(value.grad)) < 3e4


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.full((B,), C), f"labels run from {C} to {C}, but the head has {C} classes"),
        (torch.full((B,), -1), "labels run from -1"),
        (torch.zeros(B), "labels must be int64"),
        (torch.zeros(B - 1, dtype=torch.int64), r"of shape \(16,\)"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        make("arcface")(batch()[0], labels)


def test_bad_embeddings_are_refused():
    with pytest.raises(ValueError, match=r"embeddings must be \(B, 8\), got \(2, 9\)"):
        make("arcface")(torch.zeros(2, 9, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("combined", {"m1": 0.0}),
        ("combined", {"m2": 4.0}),
        ("combined", {"m3": -1.0}),
        ("curricularface", {"t_alpha": 2.0}),
        ("elasticcosface", {"m": 2.5}),
        ("magface", {"l_a": 200.0}),
        ("magface", {"l_m": 0.9}),
        ("magface", {"lambda_g": -1.0}),
        ("arcface", {"m": -0.1}),
        ("arcface", {"m": 4.0}),
        ("arcface", {"s": 0.0}),
        ("cosface", {"m": 3.0}),
        ("elasticarcface", {"std": -1.0}),
        ("adaface", {"h": 0.0}),
        ("adaface", {"t_alpha": 0.0}),
        ("arcface", {"num_identities": 0}),
    ],
)
def test_options_out_of_range_are_refused(name, options):
    with pytest.raises(ValueError):
        create_head(name, **({"embedding_size": D, "num_identities": C} | options))


def own_angles(head, embeddings, labels):
    theta = angles(head, embeddings)
    return theta, theta[np.arange(B), labels.numpy()]


@pytest.mark.parametrize("m1", [1.0, 0.9, 1.35, 2.0])
def test_combined_equals_its_formula(m1):
    head = make("combined", m1=m1, m2=0.2, m3=0.15)
    embeddings, labels = batch()
    theta, own = own_angles(head, embeddings, labels)
    inside = m1 * own + 0.2 < np.pi
    logits = head(embeddings, labels).detach().numpy()
    expected = 64 * with_target(theta, labels, np.cos(m1 * own + 0.2) - 0.15)
    assert inside.sum() >= 5
    np.testing.assert_allclose(logits[inside], expected[inside], atol=1e-9)


def test_combined_holds_arcface_and_cosface():
    embeddings, labels = batch()
    for name, options in (
        ("arcface", {"m2": 0.5, "m3": 0.0}),
        ("cosface", {"m2": 0.0, "m3": 0.35}),
    ):
        expected = make(name)(embeddings, labels)
        torch.testing.assert_close(make("combined", **options)(embeddings, labels), expected)


@settings(max_examples=40, deadline=None)
@given(m1=st.floats(0.2, 4.0), m2=st.floats(0, math.pi))
def test_combined_falls_over_all_angles(m1, m2):
    head = create_head("combined", embedding_size=2, num_identities=2, m1=m1, m2=m2, m3=0.1)
    theta = torch.linspace(0, math.pi, 201, dtype=torch.float64)
    reduced = head.margin(torch.cos(theta), torch.ones(201), None)
    assert (reduced.diff() <= 1e-3).all()
    inside = (m1 * theta + m2 < math.pi) & (theta > 1e-3) & (theta < math.pi - 1e-3)
    torch.testing.assert_close(reduced[inside], torch.cos(m1 * theta + m2)[inside] - 0.1)


def test_elasticcosface_draws_one_normal_margin_a_sample():
    head = make("elasticcosface", m=0.3, std=0.05)
    embeddings, labels = batch()
    noise = torch.randn(B, generator=torch.Generator().manual_seed(5)).numpy()
    theta, own = own_angles(head, embeddings, labels)
    expected = 64 * with_target(theta, labels, np.cos(own) - (0.3 + 0.05 * noise))
    logits = head(embeddings, labels, generator=torch.Generator().manual_seed(5))
    np.testing.assert_allclose(logits.detach().numpy(), expected, atol=1e-5)


def test_sorted_margins_go_by_rank_or_as_published():
    cosines = torch.tensor([0.1, 0.9, 0.5])
    margins = torch.tensor([2.0, 3.0, 1.0])
    assert assigned(margins, cosines, "rank").tolist() == [3, 1, 2]
    assert assigned(margins, cosines, "published").tolist() == [2, 3, 1]


@pytest.mark.parametrize("name", ["elasticarcface", "elasticcosface"])
def test_plus_variants_give_the_same_margins_to_other_samples(name):
    embeddings, labels = batch()
    target = torch.from_numpy(np.cos(own_angles(make(name), embeddings, labels)[1]))
    draws = RowDraws(seed=3, rows=np.arange(B))
    plain = make(name, std=0.02).margins(target, draws)
    ranked = make(f"{name}_plus", std=0.02).margins(target, draws)
    published = make(f"{name}_plus", std=0.02, assign="published").margins(target, draws)
    for margins in (ranked, published):
        torch.testing.assert_close(margins.sort().values, plain.sort().values)
    assert (ranked[target.argsort()].diff() <= 0).all()  # the nearer, the smaller
    assert not torch.equal(published, ranked)


def test_curricularface_begins_at_0_and_takes_a_hundredth_of_each_batch():
    head = make("curricularface")
    assert float(head.t) == 0.0
    embeddings, labels = batch()
    _, own = own_angles(head, embeddings, labels)
    head(embeddings, labels)
    assert float(head.t) == pytest.approx(0.01 * np.cos(own).mean())


def test_curricularface_equals_its_formula_and_moves_its_mean():
    head = make("curricularface", m=0.4, t_alpha=0.25)
    head.t.fill_(0.2)
    embeddings, labels = batch()
    theta, own = own_angles(head, embeddings, labels)
    assert (own + 0.4 < np.pi).all()
    t = 0.75 * 0.2 + 0.25 * np.cos(own).mean()
    cosines = np.cos(theta)
    reduced = np.cos(own + 0.4)
    hard = cosines > reduced[:, None]
    expected = np.where(hard, cosines * (t + cosines), cosines)
    expected[np.arange(B), labels.numpy()] = reduced
    logits = head(embeddings, labels).detach().numpy()
    np.testing.assert_allclose(logits, 64 * expected, atol=1e-5)
    assert float(head.t) == pytest.approx(t)
    assert "t" in head.state_dict()
    head.eval()(embeddings, labels)
    assert float(head.t) == pytest.approx(t)


@pytest.mark.parametrize("easy", [True, False])
def test_magface_equals_its_formulas(easy):
    """Easy: MagLinear of the authors' models/magface.py, which leaves cosines ≤ 0 alone."""
    head = make("magface", easy_margin=easy)
    embeddings, labels = batch(scale=20.0)
    embeddings[0] *= 0.01  # below the range
    embeddings[1] *= 100  # above it
    a = np.linalg.norm(embeddings.numpy(), axis=1).clip(10, 110)
    margins = 0.35 / 100 * (a - 10) + 0.45
    theta, own = own_angles(head, embeddings, labels)
    inside = own + margins < np.pi
    logits = head(embeddings, labels).detach().numpy()
    reduced = np.cos(own + margins)
    if easy:
        reduced = np.where(np.cos(own) > 0, reduced, np.cos(own))
        assert 0 < (np.cos(own) <= 0).sum() < B
    expected = 64 * with_target(theta, labels, reduced)
    np.testing.assert_allclose(logits[inside], expected[inside], atol=1e-9)
    assert inside.sum() > B / 2
    assert float(head.penalty(embeddings)) == pytest.approx(35 * (1 / a + a / 110**2).mean())
    assert make("arcface").penalty(embeddings) is None


def test_magface_penalty_has_the_right_gradient_and_none_at_nothing():
    head = make("magface")
    embeddings = batch()[0][:4].requires_grad_()
    assert torch.autograd.gradcheck(head.penalty, embeddings)
    nothing = torch.zeros(2, D, requires_grad=True)
    head.penalty(nothing).backward()
    assert torch.equal(nothing.grad, torch.zeros(2, D))


def test_unit_norms_make_adaface_cosface():
    embeddings, labels = batch()
    published = make("adaface", norms="unit", t_alpha=1.0)
    expected = make("cosface", m=0.4)(embeddings, labels)
    torch.testing.assert_close(published(embeddings, labels), expected)
    torch.testing.assert_close(published(5 * embeddings, labels), expected)
    assert not torch.allclose(make("adaface")(embeddings, labels), expected, atol=1e-2)


@pytest.mark.parametrize("name", ["arcface", "elasticarcface", "elasticarcface_plus"])
def test_published_acos_has_its_faults_and_only_as_an_option(name):
    head = make(name, angle="acos", **FIXED[name])
    embeddings, labels = batch()
    theta, own = own_angles(head, embeddings, labels)
    expected = 64 * with_target(theta, labels, np.cos(own + 0.5))
    np.testing.assert_allclose(head(embeddings, labels).detach().numpy(), expected, atol=1e-9)
    near_pi = torch.tensor([-0.99, -1.0], dtype=torch.float64)
    safe = make(name, **FIXED[name]).margin(near_pi, torch.ones(2), None)
    assert safe[1] < safe[0] < -1
    published = head.margin(near_pi, torch.ones(2), None)
    assert published[1] > published[0]  # the wrong way
    end = torch.ones(1, dtype=torch.float64, requires_grad=True)
    head.margin(end, torch.ones(1), None).sum().backward()
    assert torch.isinf(end.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_classes_in_parts_give_the_logits_of_all(name):
    whole, parts = make(name), make(name)
    embeddings, labels = batch()
    draws = RowDraws(seed=7, rows=np.arange(100, 100 + B))
    expected = whole(embeddings, labels, generator=draws)
    unit = torch.nn.functional.normalize
    cosines = unit(embeddings) @ unit(parts.weight).T
    target = cosines.gather(1, labels[:, None])[:, 0]
    norms = embeddings.norm(dim=1)
    found = []
    state = {key: value.clone() for key, value in parts.state_dict().items()}
    for first, last in ((0, 2), (2, C)):  # two processes, each with some of the classes
        parts.load_state_dict(state)
        columns = torch.where((labels >= first) & (labels < last), labels - first, -1)
        found.append(parts.logits(cosines[:, first:last], columns, target, norms, draws))
    torch.testing.assert_close(torch.cat(found, dim=1), expected)
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[key], value)


@given(seed=st.integers(0, 2**63 - 1), rows=st.lists(st.integers(0, 2**40), min_size=1))
@settings(max_examples=30, deadline=None)
def test_draws_belong_to_rows(seed, rows):
    rows = np.array(rows)
    together = RowDraws(seed, rows).normal()
    alone = [RowDraws(seed, rows[n : n + 1]).normal()[0] for n in range(len(rows))]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(RowDraws(seed, rows[::-1]).normal(), together[::-1])
    assert np.isfinite(together).all()


def test_draws_are_standard_normal():
    numbers = RowDraws(1, np.arange(50_000)).normal()
    assert scipy.stats.kstest(numbers, "norm").pvalue > 0.01
    others = RowDraws(2, np.arange(50_000)).normal()
    assert abs(np.corrcoef(numbers, others)[0, 1]) < 0.02
    with pytest.raises(ValueError, match=r"numbers of \(3,\) rows for a batch of \(2,\)"):
        standard_normal(RowDraws(1, np.arange(3)), torch.zeros(2))


def test_unknown_options_and_names_are_refused():
    sizes = {"embedding_size": D, "num_identities": C}
    with pytest.raises(TypeError, match=r"head 'arcface' has no option 'h'; it has: s, m, angle$"):
        create_head("arcface", **sizes, h=0.3)
    with pytest.raises(TypeError, match=r"head 'arcface': option m is 'much': .* valid number"):
        create_head("arcface", **sizes, m="much")
    with pytest.raises(TypeError, match=r"option m is True: .* valid number"):
        create_head("arcface", **sizes, m=True)
    with pytest.raises(TypeError, match="option assign is 'best': Input should be 'rank' or"):
        create_head("elasticarcface_plus", **sizes, assign="best")
    with pytest.raises(ValueError, match="unknown head 'softmax'; known: adaface"):
        create_head("softmax", embedding_size=D, num_identities=C)


@given(norm=st.floats(0.01, 400.0))
def test_adaface_falls_over_all_angles_at_any_norm(norm):
    head = create_head("adaface", embedding_size=2, num_identities=2, s=1.0).double().eval()
    head.weight.data = torch.eye(2, dtype=torch.float64)
    theta = torch.linspace(0, math.pi, 101, dtype=torch.float64)
    embeddings = norm * torch.stack([torch.cos(theta), torch.sin(theta)], dim=1)
    target = head(embeddings, torch.zeros(101, dtype=torch.int64))[:, 0].detach()
    assert (target.diff() <= 1e-4).all()
    z = float(np.clip((np.clip(norm, 1e-3, 100) - 20) / (100 + 1e-3) * 0.333, -1, 1))
    inside = (theta - 0.4 * z > 1e-3) & (theta - 0.4 * z < math.pi - 1e-3)
    expected = torch.cos(theta - 0.4 * z) - (0.4 + 0.4 * z)
    torch.testing.assert_close(target[inside], expected[inside], atol=5e-5, rtol=0)


def test_adaface_learns_no_deviation_from_one_sample():
    head = make("adaface")
    embeddings, labels = batch()
    logits = head(embeddings[:1], labels[:1])
    assert torch.isfinite(logits).all()
    assert (float(head.batch_mean), float(head.batch_std)) == (20.0, 100.0)
