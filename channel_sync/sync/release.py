"""When a night that a feed no longer lists may be sold again. Pure arithmetic: no I/O, no clock of its own.

A feed lists closed nights only, so "open" is no more than "not mentioned", and a feed that was written half or
empty does not mention anything. A closing therefore applies at once; an opening is *held* until the night was
absent for long enough by the listing's own clock (see ``advance``). How long depends on how the night went:

    EDITED       a part of what closed it is still listed, or it moved: the channel wrote that part anew   patience
    ABSENT       it went without a trace, as a cancelled stay does                                         patience
    FIRST_SEEN   never observed before, so never known to be open                                          patience
    UNBLOCKED    blocks went in a mass while every reservation around them stayed                   patience + 3 h
    MASS_ABSENT  much of the calendar went without a trace                                                 a day
    EMPTY        nothing is listed from today on                                                           a day
    UNREAD       it went while parts of the feed could not be read                                         a day

A day is 24 h, or three times the patience where that is longer. A person's approval opens what is held.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from adapters.model import ONE_DAY, ClosureKind, NightAvailability, Stay

DEFAULT_PATIENCE = timedelta(hours=2)
LONGEST_STEP = timedelta(hours=1)  # what one observation may add to the listing's own clock
A_DAY = timedelta(hours=24)
# Feeds of real channels were seen empty or nearly so for 1 to 4 hours: 2 + 3 outlasts that.
UNBLOCKED_EXTRA = timedelta(hours=3)

# A mass is several nights that are half of all, or several closures that are a fifth of all: over 48 listing-months
# of hourly polls no three cancellations came within two hours. One long stay in a thin calendar is no mass until it
# is half of it.
MASS_NIGHTS = 5
MASS_SHARE = 1 / 2
MASS_CLOSURES = 3
MASS_CLOSURE_SHARE = 1 / 5
STEADY_RESERVATIONS = 3  # listed beside blocks that went, for that to be an owner's doing


class HoldReason(StrEnum):
    """Why a night that is not listed is kept closed."""

    FIRST_SEEN = "first_seen"
    EDITED = "edited"
    ABSENT = "absent"
    UNBLOCKED = "unblocked"
    UNREAD = "unread"
    MASS_ABSENT = "mass_absent"
    EMPTY = "empty"


# Gone without a trace and not yet explained: these add up over observations, so that a feed which shrinks step by
# step is still recognised. Those UNREAD may have left a trace, and wait for a day anyway.
_UNEXPLAINED = frozenset({HoldReason.ABSENT, HoldReason.MASS_ABSENT, HoldReason.EMPTY})


@dataclass(frozen=True, slots=True)
class Hold:
    """A night kept closed although the source no longer lists it.

    ``since`` is when it was first not listed (UTC). ``release_at_s`` is the reading of the listing's own clock, in
    seconds, from which on an observation that still does not list it opens it.
    """

    since: datetime
    release_at_s: float
    reason: HoldReason


@dataclass(frozen=True, slots=True)
class NightState:
    """A night of one listing as it is stored: ``units_open`` 0 is closed. Only a closed night has a hold."""

    night: date
    units_open: int
    closure: ClosureKind | None = None
    reference: str | None = None
    hold: Hold | None = None

    @property
    def listed(self) -> bool:
        """Whether the last observation listed it as closed."""
        return self.units_open == 0 and self.hold is None

    @property
    def never_listed(self) -> bool:
        """Whether it is held without ever having been listed: nothing is known to close it."""
        return self.hold is not None and self.closure is ClosureKind.UNKNOWN and self.reference is None


@dataclass(frozen=True, slots=True)
class Decision:
    """What one observation does to a listing.

    ``changed`` are the nights to write, in order. ``closed`` and ``opened`` count the nights that went from open
    to closed and back, ``held`` all nights that are held from now on. ``extended`` counts nights by which the
    calendar merely grew at its far end: new to the window, or reached by a last block that rolls on every day.
    """

    changed: tuple[NightState, ...]
    closed: int
    opened: int
    held: int
    extended: int


def advance(observed_s: float, last_observed_at: datetime | None, now: datetime) -> float:
    """The listing's own clock at the observation made ``now``, in seconds.

    It adds the time since the last successful observation, at most an hour: an outage proves nothing, so holds
    stand still while pulls fail. It never runs backwards.
    """
    if last_observed_at is None:
        return observed_s
    step = min(now - last_observed_at, LONGEST_STEP)
    return observed_s + max(step, timedelta()).total_seconds()


def still_listed(known: Iterable[NightState]) -> tuple[NightAvailability, ...]:
    """What a feed lists that says of itself that it did not change (HTTP 304): what it listed last."""
    return tuple(
        NightAvailability(state.night, 0, state.closure, state.reference) for state in known if state.listed
    )


def decide(
    known: Iterable[NightState],
    listed: Iterable[NightAvailability],
    *,
    window: Stay,
    today: date,
    now: datetime,
    observed_s: float,
    patience: timedelta = DEFAULT_PATIENCE,
    unread: bool = False,
    approved: bool = False,
    units: int = 1,
) -> Decision:
    """Apply one whole observation of a feed to the stored nights of its listing.

    ``known`` are the stored nights, ``listed`` the closed nights of the feed, each night once, in any order.
    ``window`` is what the observation speaks of; ``today`` is the property's local date: nights before it and
    outside the window are left alone. ``now`` is the time of the observation (UTC), ``observed_s`` the listing's
    own clock at it (see ``advance``). ``unread``: parts of the feed could not be read. ``approved``: a person said
    that the nights held before this observation are free. ``units`` is what an open night has for sale.

    Deciding again with the same observation at the same clock changes nothing.
    Raises ValueError for a listed night that is not closed.
    """
    span = window.clipped_to(Stay(today, max(today + ONE_DAY, window.check_out)))
    if span is None:
        return Decision((), 0, 0, 0, 0)
    before = {state.night: state for state in known if state.night in span}
    now_listed = {night.night: night for night in listed if night.night in span}
    _refuse_open(now_listed.values())
    judge = _Judge(before, now_listed, now, observed_s, patience, unread=unread)
    after: dict[date, NightState] = {}
    for night in span:
        entry = now_listed.get(night)
        state = before.get(night)
        if entry is not None:
            after[night] = NightState(night, 0, entry.closure or ClosureKind.UNKNOWN, entry.reference)
        elif state is not None and state.units_open:
            after[night] = state
        else:
            after[night] = _absent(night, state, judge, approved=approved, units=units)
    return _decision(before, after)


def _refuse_open(listed: Iterable[NightAvailability]) -> None:
    for night in listed:
        if night.units_open:
            raise ValueError(
                f"night {night.night} is listed with {night.units_open} units open: list closed nights only"
            )


def _absent(
    night: date, state: NightState | None, judge: "_Judge", *, approved: bool, units: int
) -> NightState:
    """A night that was not known to be open and is not listed: held, or open once that is proven."""
    if state is not None and state.hold is not None:
        if approved:
            return NightState(night, units)
        hold = judge.longer_hold(state, state.hold)
    else:
        hold = judge.first_hold(state)
    if judge.observed_s >= hold.release_at_s:
        return NightState(night, units)
    return replace(state or NightState(night, 0, ClosureKind.UNKNOWN), hold=hold)


class _Judge:
    """What one observation as a whole says about the nights it does not list."""

    def __init__(
        self,
        before: Mapping[date, NightState],
        listed: Mapping[date, NightAvailability],
        now: datetime,
        observed_s: float,
        patience: timedelta,
        *,
        unread: bool,
    ) -> None:
        self.now = now
        self.observed_s = observed_s
        self.patience = patience
        self.unread = unread
        self.edited = _edited(before, listed)
        unexplained = [
            state
            for night, state in before.items()
            if night not in listed and night not in self.edited and _may_be_unexplained(state)
        ]
        self.unblocked = _is_mass(unexplained, listed) and _only_blocks_went(unexplained, listed)
        self.doubt: HoldReason | None = None
        if not listed:
            self.doubt = HoldReason.EMPTY
        elif _is_mass(unexplained, listed) and not self.unblocked:
            self.doubt = HoldReason.MASS_ABSENT

    def first_hold(self, state: NightState | None) -> Hold:
        """The hold of a night that was listed until now, or (None) is met for the first time."""
        if self.doubt is not None:
            reason = self.doubt
        elif self.unread:
            reason = HoldReason.UNREAD
        elif state is None:
            reason = HoldReason.FIRST_SEEN
        elif state.night in self.edited:
            reason = HoldReason.EDITED
        elif self.unblocked and state.closure is ClosureKind.BLOCKED:
            reason = HoldReason.UNBLOCKED
        else:
            reason = HoldReason.ABSENT
        return Hold(self.now, self.observed_s + self._length(reason), reason)

    def longer_hold(self, state: NightState, hold: Hold) -> Hold:
        """The hold of a night that stays absent. It only ever lengthens, and once for each new doubt."""
        reason = hold.reason
        if self.doubt is not None:
            reason = self.doubt
        elif self.unread and reason is not HoldReason.MASS_ABSENT:
            reason = HoldReason.UNREAD
        elif reason is HoldReason.EMPTY:  # the feed is back: the next empty one counts from its own beginning
            reason = HoldReason.FIRST_SEEN if state.never_listed else HoldReason.ABSENT
        elif self.unblocked and reason is HoldReason.ABSENT and state.closure is ClosureKind.BLOCKED:
            reason = HoldReason.UNBLOCKED
        if reason is hold.reason:
            return hold
        return Hold(hold.since, max(hold.release_at_s, self.observed_s + self._length(reason)), reason)

    def _length(self, reason: HoldReason) -> float:
        """How long such a night must be absent, in seconds of the listing's own clock."""
        if reason in (HoldReason.MASS_ABSENT, HoldReason.EMPTY, HoldReason.UNREAD):
            return max(A_DAY, 3 * self.patience).total_seconds()
        extra = UNBLOCKED_EXTRA if reason is HoldReason.UNBLOCKED else timedelta()
        return (self.patience + extra).total_seconds()


def _may_be_unexplained(state: NightState) -> bool:
    held = state.hold is not None and state.hold.reason in _UNEXPLAINED
    return state.listed or (held and not state.never_listed)


def _closures(nights: Iterable[NightState | NightAvailability]) -> list[list[date]]:
    """The source's own closures: runs of touching nights under one reference."""
    ordered = sorted(nights, key=lambda state: state.night)
    closures = [[state.night] for state in ordered[:1]]
    for last, state in pairwise(ordered):
        if state.night - last.night == ONE_DAY and state.reference == last.reference:
            closures[-1].append(state.night)
        else:
            closures.append([state.night])
    return closures


def _edited(before: Mapping[date, NightState], listed: Mapping[date, NightAvailability]) -> frozenset[date]:
    """Nights that went while the channel shows that it wrote their closure anew.

    Either its reference is listed on other nights, or some of its nights are still listed under a reference that
    is new. A night still closed by a reference that was there before proves nothing: that is a neighbour.
    """
    known = {night: state for night, state in before.items() if state.listed}
    references = {state.reference for state in known.values()}
    still_there = {entry.reference for entry in listed.values()} - {None}
    edited: set[date] = set()
    for closure in _closures(known.values()):
        rewritten = {listed[night].reference for night in closure if night in listed} - references
        if rewritten or known[closure[0]].reference in still_there:
            edited.update(night for night in closure if night not in listed)
    return frozenset(edited)


def _is_mass(gone: Sequence[NightState], listed: Mapping[date, NightAvailability]) -> bool:
    """Whether more went without a trace than cancellations explain, beside what is still listed."""
    closures, left = len(_closures(gone)), len(_closures(listed.values()))
    return (len(gone) >= MASS_NIGHTS and len(gone) >= MASS_SHARE * (len(gone) + len(listed))) or (
        closures >= MASS_CLOSURES and closures >= MASS_CLOSURE_SHARE * (closures + left)
    )


def _only_blocks_went(gone: Sequence[NightState], listed: Mapping[date, NightAvailability]) -> bool:
    """Whether an owner unblocked: no reservation went with the blocks, and some stand beyond the first of them.

    A fault does not pick by kind. One that cuts off the end of a feed would, where only blocks reach that far:
    hence "beyond".
    """
    others = [state for state in gone if state.closure is not ClosureKind.BLOCKED]
    blocks = [state.night for state in gone if state.closure is ClosureKind.BLOCKED]
    booked = [entry for entry in listed.values() if entry.closure is ClosureKind.BOOKED]
    cancelled_before = all(
        state.hold is not None and state.hold.reason is HoldReason.ABSENT for state in others
    )
    return (
        bool(blocks)
        and cancelled_before
        and not _is_mass(others, listed)
        and len({entry.reference for entry in booked}) >= STEADY_RESERVATIONS
        and any(entry.night > min(blocks) for entry in booked)
    )


def _decision(before: Mapping[date, NightState], after: Mapping[date, NightState]) -> Decision:
    """The difference, counted."""
    changed = tuple(state for night, state in after.items() if before.get(night) != state)
    closed = opened = extended = 0
    last_closed = max((state.night for state in before.values() if state.listed), default=None)
    references = {state.reference for state in before.values() if state.listed}
    for state in changed:
        old = before.get(state.night)
        if old is None:
            extended += 1
        elif old.units_open and not state.units_open:
            rolled = last_closed is not None and state.night > last_closed and state.reference in references
            extended += rolled
            closed += not rolled
        elif state.units_open and not old.units_open:
            opened += 1
    held = sum(state.hold is not None for state in after.values())
    return Decision(changed, closed, opened, held, extended)
