"""Our GraphQL documents and the simulated schema, held against Expedia Group's published ones."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    parse,
    validate,
)
from graphql.language import DocumentNode, NameNode, Node

from adapters.vrbo.operations import OPERATIONS, Operation
from channel_sync.sandbox.vrbo.schema import SCHEMA

# What is published and not asked by us.
NOT_ASKED: Mapping[str, str] = {
    "cancelReservation": "ends a reservation of an Expedia hotel; a Vrbo stay has a mutation of its own",
    "changeReservationReconciliation": "reports a no-show or another amount to Expedia; the house does that by hand",
    "refundReservation": "money is not ours to move",
    "refundVrboReservation": "money is not ours to move",
    "cancelReservationReconciliation": "as changeReservationReconciliation",
}
# Fields of a guest or a card: no document of ours may name one.
PERSONAL = frozenset(
    {"primaryGuest", "guestContact", "payment", "paymentInstructions", "corporateInvoice", "specialRequest"}
    | {"firstName", "lastName", "emailAddress", "phoneNumbers", "messageThreadId", "accessibilityText"}
)

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def folder_of(fixtures_dir: Path) -> Path:
    folder = fixtures_dir / "expedia" / "graphql"
    if not folder.is_dir():
        pytest.skip(f"no published operations in {folder}")
    return folder


def schemas(fixtures_dir: Path) -> dict[str, GraphQLSchema]:
    """Every published schema by its name: what stands before the two underscores of a file's name."""
    found = sorted(folder_of(fixtures_dir).glob("*.graphqls"))
    assert found
    return {path.name.partition("__")[0]: schema_in(path) for path in found}


@cache
def schema_in(path: Path) -> GraphQLSchema:
    """Made once: the published one takes most of a second."""
    return build_schema(path.read_text(encoding="utf-8"))


def samples(fixtures_dir: Path) -> dict[str, DocumentNode]:
    """Every published document, with the fragments of all others of its schema added."""
    documents = {
        path.name: parse(path.read_text(encoding="utf-8"))
        for path in sorted(folder_of(fixtures_dir).glob("*.graphql"))
    }
    whole = {}
    for name, document in documents.items():
        own = name.partition("__")[0]
        fragments = {
            each.name.value: each
            for other, found in documents.items()
            if other.partition("__")[0] == own
            for each in found.definitions
            if isinstance(each, FragmentDefinitionNode)
        }
        operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
        used: dict[str, FragmentDefinitionNode] = {}
        waiting = [names_in(each) for each in operations]
        while waiting:
            for spread in waiting.pop() & fragments.keys() - used.keys():
                used[spread] = fragments[spread]
                waiting.append(names_in(fragments[spread]))
        whole[name] = DocumentNode(definitions=(*document.definitions, *used.values()))
    return whole


def names_in(node: object) -> set[str]:
    """Every name that stands anywhere in a part of a document."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (list, tuple)):
            waiting += each
        elif isinstance(each, Node):
            found |= {each.value} if isinstance(each, NameNode) else set()
            waiting += [getattr(each, key, None) for key in each.keys if key != "loc"]
    return found


def roots(document: DocumentNode) -> list[FieldNode]:
    """The fields of the schema's roots that a document asks for."""
    return [
        field
        for each in document.definitions
        if isinstance(each, OperationDefinitionNode)
        for field in each.selection_set.selections
        if isinstance(field, FieldNode)
    ]


@every_operation
def test_what_we_send_is_allowed(operation: Operation, fixtures_dir: Path) -> None:
    """Each document is valid against the published schema, and asks for nothing that is on its way out."""
    schema = schemas(fixtures_dir)["supply"]
    document = parse(operation.document)
    assert validate(schema, document) == []
    (root,) = roots(document)
    for kind in (schema.query_type, schema.mutation_type):
        assert kind is not None
        if root.name.value in kind.fields:
            assert kind.fields[root.name.value].deprecation_reason is None


@every_operation
def test_what_we_send_asks_for_no_guest(operation: Operation) -> None:
    """What is not asked for is not on the wire: no document names a guest's field."""
    assert not names_in(parse(operation.document)) & PERSONAL


@every_operation
def test_a_mutation_may_be_repeated_only_where_it_states_how_things_are(operation: Operation) -> None:
    """A question, a confirmation and a subscription may be sent twice; whatever makes or ends something may not."""
    (definition,) = (
        each for each in parse(operation.document).definitions if isinstance(each, OperationDefinitionNode)
    )
    assert definition.name is not None
    assert definition.name.value == operation.name
    repeatable = definition.operation.value == "query" or operation.name in ("Confirm", "Subscribe")
    assert operation.changes is not repeatable


def test_published_operations_are_valid(fixtures_dir: Path) -> None:
    """Every published sample is valid against its own schema: our reading of both is theirs."""
    known, documents = schemas(fixtures_dir), samples(fixtures_dir)
    assert documents
    for name, document in documents.items():
        mistakes = validate(known[name.partition("__")[0]], document)
        unused = "is never used"  # of a file that holds a fragment alone
        assert [each.message for each in mistakes if unused not in each.message] == [], name


def test_published_operations_are_ours_too(fixtures_dir: Path) -> None:
    """What a published sample asks for, we ask for with the same arguments, or there is a reason why not."""
    ours = {root.name.value: root for operation in OPERATIONS for root in roots(parse(operation.document))}
    for name, document in samples(fixtures_dir).items():
        for root in roots(document):
            if root.name.value in NOT_ASKED:
                assert root.name.value not in ours
                continue
            assert root.name.value in ours, f"{name} asks for {root.name.value}, which we do not"
            arguments = [
                {each.name.value for each in field.arguments} for field in (root, ours[root.name.value])
            ]
            assert arguments[0] <= arguments[1], name


def test_the_simulated_schema_is_a_part_of_the_published_one(fixtures_dir: Path) -> None:
    """Every type, field and argument of the sandbox is the published one, in the same type and as nullable."""
    published, simulated = schemas(fixtures_dir)["supply"], build_schema(SCHEMA)
    for name, kind in simulated.type_map.items():
        if name.startswith("__"):
            continue
        true = published.type_map[name]
        assert type(kind) is type(true), name
        assert set(getattr(kind, "values", ())) == set(getattr(true, "values", ())), name
        for field, told in getattr(kind, "fields", {}).items():
            assert str(told.type) == str(true.fields[field].type), f"{name}.{field}"  # type: ignore[attr-defined]
            if isinstance(kind, GraphQLObjectType):
                for argument, asked in told.args.items():
                    known = true.fields[field].args[argument]  # type: ignore[attr-defined]
                    assert str(asked.type) == str(known.type), f"{name}.{field}({argument})"
