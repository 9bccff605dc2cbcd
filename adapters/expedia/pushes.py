"""How the updates of one hotel end, told in messages that wait for one another. Calls the wire through ``tell`` only."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from adapters.expedia.updates import Group, Item, Product, Update, plan
from adapters.updates import Outcome, Verdict

Ending = tuple[Verdict, str]
Tell = Callable[
    [Sequence[Group]], Ending
]  # one message; raises where it failed and those behind it have to wait


def outcomes(items: Sequence[Item[Update]], tell: Tell) -> Iterator[Outcome[Update]]:
    """One outcome for each item, as soon as the last message with a part of it has ended."""
    parts = plan(items)
    where = {
        (group.product, night): number
        for number, groups in enumerate(parts)
        for group in groups
        for night in group.nights
    }
    asked = [
        sorted({where[item.product, night] for night in item.update.nights if (item.product, night) in where})
        for item in items
    ]
    endings: dict[tuple[int, Product], Ending] = {}
    for item, numbers in zip(items, asked, strict=True):
        if not numbers:
            yield Outcome(item.update, Verdict.ACCEPTED, "nothing is to be told")
    for number, groups in enumerate(parts):
        for product, ending in _told(groups, tell).items():
            endings[number, product] = ending
        for item, numbers in zip(items, asked, strict=True):
            if numbers and numbers[-1] == number:
                verdict, words = _together([endings[each, item.product] for each in numbers])
                yield Outcome(item.update, verdict, words)


def _told(groups: Sequence[Group], tell: Tell) -> Mapping[Product, Ending]:
    """How a message ended for each of its products. One that is refused as a whole is told product by product."""
    products = list(dict.fromkeys(group.product for group in groups))
    ending = tell(groups)
    if ending[0] is not Verdict.REJECTED or len(products) == 1:
        return dict.fromkeys(products, ending)
    return {product: tell([group for group in groups if group.product == product]) for product in products}


def _together(endings: Sequence[Ending]) -> Ending:
    """How an update ended that several messages told: refused only if all of it was."""
    verdicts = {verdict for verdict, _ in endings}
    words = "; ".join(dict.fromkeys(words for _, words in endings if words))
    if len(verdicts) == 1:
        return verdicts.pop(), words
    return Verdict.WARNED, words
