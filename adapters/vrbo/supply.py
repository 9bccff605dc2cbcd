"""Expedia Group's GraphQL as one account sees it: its questions, the pages of a list, and each call with its token."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeAlias, TypeVar

import httpx

from adapters import wire
from adapters.accounts import Account, Token, TokenStore
from adapters.errors import UnexpectedResponse
from adapters.model import ChannelListing, Problem
from adapters.spending import Spend, marked
from adapters.vrbo import graphql, mapping, notifications, oauth, operations
from adapters.vrbo.graphql import Answer, Fault
from adapters.vrbo.mapping import ReservationPage
from adapters.vrbo.notifications import Notice
from adapters.vrbo.operations import Operation

PATH = "/supply/lodging/graphql"
PAGE_SIZE = 25  # reservations and properties
NOTIFICATIONS = 10  # in a page

_FIRST = "2020-01-01T00:00:00Z"  # before the first notification there can be

Undelivered: TypeAlias = tuple[list[Notice], list[Problem]]
Page = TypeVar("Page")


class Supply:
    """The API as one account sees it. Its token is kept for as long as this is."""

    most_pages: ClassVar[int] = 10_000  # beyond that the paging goes in circles

    def __init__(
        self,
        client: httpx.Client,
        account: Account,
        tokens: TokenStore,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._account = account
        self._tokens = tokens
        self._clock = clock
        self._token: Token | None = None

    def properties(
        self, advertiser_id: str, cursor: str | None, what: str, page_size: int = PAGE_SIZE
    ) -> tuple[list[ChannelListing], str | None]:
        """A page of an advertiser's properties."""
        variables = {
            "advertiserId": advertiser_id,
            "idSource": "VRBO",
            "pageSize": page_size,
            "cursor": cursor,
        }
        return mapping.listings_from_wire(self.data(operations.PROPERTIES, variables, what), what)

    def reservations(
        self,
        property_id: str,
        source: str,
        wanted: Mapping[str, Any],
        what: str,
        listing_id: str | None = None,
        cursor: str | None = None,
    ) -> ReservationPage:
        """A page of a property's reservations. ``source`` is whose id of the property is given."""
        variables = {
            "propertyId": property_id,
            "idSource": source,
            "pageSize": PAGE_SIZE,
            "cursor": cursor,
            "filter": dict(wanted),
        }
        answer = self.answer(
            operations.RESERVATIONS, variables, what, property_id, mapping.is_of_one_reservation
        )
        return mapping.reservations_from_wire(answer, listing_id, what)

    def undelivered(self, cursor: str | None, what: str) -> tuple[Undelivered, str | None]:
        """A page of the notifications that nobody has taken, whenever they were made."""
        until = self._clock().astimezone(UTC) + timedelta(days=1)
        span = {"from": _FIRST, "to": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
        variables = {
            "filters": {"eventType": notifications.EVENT_TYPE, "creationDateTime": span},
            "pageSize": NOTIFICATIONS,
            "cursor": cursor,
        }
        data = self.data(operations.UNDELIVERED, variables, what)
        notices, problems, following = notifications.undelivered_from_wire(data, what)
        return (notices, problems), following

    def data(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        what: str,
        property_id: str | None = None,
    ) -> Mapping[str, Any]:
        """What a question answers, whole, or a mutation that was done. Raises what its errors stand for."""

        def is_done(fault: Fault) -> bool:
            return operation.is_mutation and len(fault.path) > 1

        return self.answer(operation, variables, what, property_id, is_done).data or {}

    def answer(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        what: str,
        property_id: str | None,
        is_partial: Callable[[Fault], bool],
    ) -> Answer:
        """What an operation answers. Errors that cost no more than a part are left in it, others raised.

        A refused token is renewed once; a second refusal is AuthenticationFailed.
        """
        token = self._usable_token()
        response = self._sent(operation, variables, what, property_id, token)
        if _token_is_refused(response, what, self._clock):
            token = self._renewed(token)
            response = self._sent(operation, variables, what, property_id, token)
        answer = graphql.answer_from_wire(response, what, self._clock)
        raised = tuple(fault for fault in answer.faults if answer.data is None or not is_partial(fault))
        if raised:
            raise graphql.error_of_faults(raised, response, what, self._clock)
        return answer

    def pages(self, name: str, read: Callable[[str | None, str], tuple[Page, str | None]]) -> Iterator[Page]:
        """Every page of a list. ``read`` gives the one at a cursor, called by that name in errors, and the next cursor.

        Raises UnexpectedResponse when the paging does not end.
        """
        cursor: str | None = None
        seen: set[str] = set()
        for number in range(1, self.most_pages + 1):
            what = f"vrbo {name}, page {number}"
            page, cursor = read(cursor, what)
            yield page
            if cursor is None:
                return
            if cursor in seen:
                raise UnexpectedResponse(f"{what}: it names a page that was already read")
            seen.add(cursor)
        raise UnexpectedResponse(f"vrbo {name}: more than {self.most_pages} pages")

    def _sent(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        what: str,
        property_id: str | None,
        token: Token,
    ) -> httpx.Response:
        request = self._client.build_request(
            "POST",
            f"{self._account.base_url}{PATH}",
            headers={"Authorization": f"Bearer {token.access.reveal()}"},
            json={
                "operationName": operation.name,
                "query": operation.document,
                "variables": dict(variables),
            },
        )
        marked(request, Spend(operation.endpoint, property_id=property_id))
        if not operation.changes:
            wire.repeatable(request)
        return wire.exchange(self._client, request, what)

    def _usable_token(self) -> Token:
        if self._token is None:
            self._token = self._tokens.load(self._account.code)
        if self._token is None or not oauth.is_fresh(self._token, self._clock()):
            return self._renewed(self._token)
        return self._token

    def _renewed(self, stale: Token | None) -> Token:
        """What replaced ``stale``: fetched here, or by whoever of its holders was first."""

        def fetch(_: Token | None) -> Token:
            return oauth.new_token(self._client, self._account, self._clock)

        self._token = self._tokens.renew(self._account.code, stale, fetch)
        return self._token


def _token_is_refused(response: httpx.Response, what: str, clock: Callable[[], datetime]) -> bool:
    """By its status, or in the words of an answer with HTTP 200 that did nothing."""
    if response.status_code == 401:
        return True
    if not response.is_success:
        return False
    answer = graphql.answer_from_wire(response, what, clock)
    return answer.data is None and graphql.UNAUTHENTICATED in {fault.code for fault in answer.faults}
