"""The diffusion family: what it makes of images that are given."""

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.guidance import Classifier, ClassifierFree, Guidance, Unguided
from genbench.families.diffusion import Diffusion
from genbench.metrics import PassCounter
from genbench.nn.classifier import NoisyClassifier
from genbench.nn.unet import UNet
from genbench.text.small import SmallEncoder
from tests.toys import toy_model, toy_process, toy_text_model


def images(n: int = 3) -> torch.Tensor:
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_inpainting_keeps_what_is_given_and_draws_the_rest() -> None:
    model, x = toy_model().eval(), images()
    mask = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    mask[:, :, 2:] = True
    filled = model.inpaint(x, mask, rng=torch.Generator().manual_seed(1))
    assert torch.equal(filled[:, :, :2], x[:, :, :2])
    assert not torch.allclose(filled[:, :, 2:], x[:, :, 2:], atol=0.05)
    again = model.inpaint(x, mask, rng=torch.Generator().manual_seed(1))
    assert torch.equal(again, filled)


def test_inpainting_all_is_sampling() -> None:
    model, x = toy_model().eval(), images()
    mask = torch.ones(3, 1, 4, 4, dtype=torch.bool)
    filled = model.inpaint(x, mask, rng=torch.Generator().manual_seed(1))
    assert torch.equal(filled, model.sample(3, rng=torch.Generator().manual_seed(1)))


def test_variations_leave_the_image_as_their_strength_grows() -> None:
    from genbench.diffusion.sampler import DDIM

    model, x = toy_model(process=toy_process(sampler=DDIM(20))).eval(), images()
    gaps = [
        float((model.vary(x, strength=s, rng=torch.Generator().manual_seed(1)) - x).abs().mean())
        for s in (0.05, 0.3, 1.0)
    ]
    assert gaps[0] < gaps[1] < gaps[2]
    assert gaps[0] < 0.1


def test_a_wrong_mask_or_strength_is_refused() -> None:
    model, x = toy_model(), images()
    with pytest.raises(ValueError, match=r"mask has shape \(3, 1, 4, 4\) and dtype torch.float32"):
        model.inpaint(x, torch.ones(3, 1, 4, 4))
    with pytest.raises(ValueError, match=r"start is 1\.5"):
        model.vary(x, strength=1.5)


def of_text(guidance: Guidance | None = None) -> Diffusion:
    """A toy model of text whose answers depend on it."""
    return toy_text_model(process=toy_process(guidance=guidance or Unguided()))


def draw(model: Diffusion, *texts: str) -> Tensor:
    return model.sample(len(texts), model.condition(texts), rng=torch.Generator().manual_seed(1))


def test_a_text_is_encoded_once_a_sampling_and_costs_no_evaluation_of_the_network() -> None:
    model, encoded = of_text(ClassifierFree(0, scale=2.0)), list[int]()
    assert model.text is not None
    model.text.register_forward_hook(lambda *_: encoded.append(1))
    with PassCounter(model.networks()) as counter:
        draw(model, "top", "bottom")
    assert counter.passes(2) == 10  # five steps, two passes each
    assert encoded == [1]
    torch.manual_seed(0)
    model.loss(images(2), model.condition(["top", ""]))
    assert encoded == [1, 1]
    assert model.text in model.autocast_networks()


def test_the_two_ends_of_guidance_are_the_model_of_the_text_and_of_no_text() -> None:
    plain = of_text()
    assert torch.equal(draw(of_text(ClassifierFree(0, scale=1.0)), "top"), draw(plain, "top"))
    assert torch.allclose(draw(of_text(ClassifierFree(0, scale=0.0)), "top"), draw(plain, ""), atol=1e-5)
    assert not torch.allclose(draw(plain, "top"), draw(plain, ""), atol=1e-3)


def test_parts_of_a_set_of_texts_have_the_likelihoods_and_inpaintings_of_the_whole() -> None:
    model, x = of_text(), images(2)
    y = model.condition(["top", "bottom"])
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    assert torch.equal(model.inpaint(x, mask, y, rng=torch.Generator().manual_seed(0)), x)
    torch.manual_seed(0)
    found = model.log_prob(x, y)
    assert found.shape == (2,)
    assert bool(found.isfinite().all())


class Plain(nn.Module):
    """A network of a plug-in, which knows labels alone."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return x


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Plain(), r"the network \(Plain\) takes no text: choose network=unet.*TextNetwork"),
        (UNet((1, 4, 4), width=8, multipliers=[1]), r"network \(UNet\) takes no text"),
        (UNet((1, 4, 4), width=8, multipliers=[1], context=6), "8 numbers.*takes vectors of 6 numbers"),
    ],
)
def test_a_network_that_attends_to_no_text_or_to_another_one_is_refused(
    network: nn.Module, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Diffusion((1, 4, 4), 0, network=network, process=toy_process(), text=toy_text_model().text)


def test_text_and_labels_or_a_classifier_do_not_go_together() -> None:
    text = SmallEncoder(width=8, layers=1, heads=2, words=8)
    network = UNet((1, 4, 4), 3, width=8, blocks=1, patch=1, multipliers=[1], context=8)
    with pytest.raises(ValueError, match=r"conditional=true \(3 classes\): leave conditional=true out"):
        Diffusion((1, 4, 4), 3, network=network, process=toy_process(), text=text)
    with pytest.raises(ValueError, match="knows classes, and the model takes text"):
        of_text(Classifier(3, NoisyClassifier((1, 4, 4), 3, width=8)))


def test_labels_and_texts_are_refused_where_the_model_takes_the_other() -> None:
    model, x = of_text(), images(1)
    with pytest.raises(ValueError, match=r"y has shape \(1,\).*model.condition\(texts\)"):
        model.loss(x, torch.zeros(1, dtype=torch.int64))
    y = model.condition(["top"])
    with pytest.raises(ValueError, match="holds 1 texts, and this model takes none; pass y=None"):
        toy_model().loss(x, y)
    with pytest.raises(ValueError, match="takes none; pass labels from 0 to 2"):
        toy_model(3).loss(x, y)
    with pytest.raises(ValueError, match="takes no text: train one with text=small"):
        toy_model().condition(["top"])
