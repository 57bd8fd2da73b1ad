"""What the views of all nouns share."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.db import transaction
from django.db.models import Model, QuerySet
from rest_framework import mixins, serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from audit.record import Actor
from audit.showing import Showing
from controlplane import actors
from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.api import idempotency, rehearsal
from controlplane.api.fields import Body
from controlplane.api.filters import refuse_unknown
from controlplane.api.joins import reading_columns
from controlplane.api.preconditions import check_if_match, etag_of, ticket_of
from controlplane.permissions import refusal
from controlplane.roles import Permission, reach

LABEL = r"^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$"  # as `controlplane.models.base.dns_label`
PUBLIC_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$"  # as `controlplane.models.base.public_name`
CREATED_AT = {"created_at": "id"}  # ids are time-ordered, and the primary key is an index already
BY_NAME = {"name": "name", **CREATED_AT}


def reading(permission: Permission) -> dict[str, Permission]:
    """The part of a view's `permissions` that is the same for all: one right to read lists and single objects."""
    return {"list": permission, "retrieve": permission}


class NounViewSet(mixins.ListModelMixin, GenericViewSet[Any]):
    """A list in pages and one object with its ETag. Changes are added by subclasses, each by calling an action.

    `permissions` names what each operation needs (see `Permitted`); what is seen of the noun, `access` decides.
    """

    noun: ClassVar[type[Model]]
    fetched: ClassVar[tuple[str, ...]] = ()
    """what each row is joined with"""
    listed: ClassVar[tuple[str, ...]] = ()
    """the columns that a list reads of what its rows are joined with; without any, all of `fetched`"""
    permissions: ClassVar[Mapping[str, Permission]]
    own: ClassVar[frozenset[str]] = frozenset()
    """operations that everybody who is signed in may ask for, because they concern their own things"""
    ordering_fields: ClassVar[Mapping[str, str]] = BY_NAME
    default_ordering: ClassVar[str] = "name"
    lookup_value_converter = "uuid"
    listing: ClassVar[frozenset[str]] = frozenset({"list"})
    """operations that answer with pages and check their parameters themselves"""
    rehearsing: ClassVar[frozenset[str]] = frozenset()
    """operations that know ``?dry_run=true``"""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let nobody in who may not, refuse parameters that nobody knows, and do a repeated POST only once."""
        super().initial(request, *args, **kwargs)
        if self.action in {None, "metadata"}:
            return  # the path does not know the method: 405
        if self.action not in self.listing:
            refuse_unknown(request, {rehearsal.PARAMETER} if self.action in self.rehearsing else frozenset())
        if request.method == "POST" and idempotency.HEADER in request.headers and not self.is_rehearsal():
            self.post: Any = partial(idempotency.once, self.post, self.actor())

    def is_rehearsal(self) -> bool:
        """True for a dry run."""
        return self.action in self.rehearsing and rehearsal.is_asked(self.request)

    def get_queryset(self) -> QuerySet[Any]:
        """The rows that whoever asks may see."""
        if getattr(self, "swagger_fake_view", False):
            return self.noun._default_manager.none()  # noqa: SLF001 - Django's public way for any model
        return self.shaped(access(self.noun, standing_in(self.request)))

    def shaped(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows with all that the serializer reads of them."""
        if self.listed and self.action == "list":
            return reading_columns(rows, self.listed)
        return rows.select_related(*self.fetched) if self.fetched else rows

    def retrieve(self, request: Request, pk: UUID) -> Response:
        del request
        return self.show(pk)

    def show(self, pk: Any, code: int = status.HTTP_200_OK, **extra: Any) -> Response:
        """The object as it is now, with its ETag; `extra` is shown this once."""
        instance = self.find(self.get_queryset(), pk)
        shown = self.get_serializer(instance).data | extra
        return Response(shown, status=code, headers={"ETag": etag_of(instance)})

    def find(self, queryset: QuerySet[Any], pk: Any) -> Any:
        """One object. Raises NotFound, the same for what is not there and what may not be seen."""
        instance = queryset.filter(pk=pk).first()
        if instance is None:
            raise NotFound
        return instance

    def actor(self) -> Actor:
        """Who changes something, for the action and the register."""
        method = getattr(self.request.successful_authenticator, "auth_method", "")
        ticket = ticket_of(self.request)
        return actors.from_request(self.request, source="api", auth_method=method, ticket=ticket)

    def body(self, serializer_class: Callable[..., Body], *, partial: bool = False) -> dict[str, Any]:
        """The request's body, checked. Raises ValidationError."""
        body = serializer_class(data=self.request.data, partial=partial, context=self.get_serializer_context())
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)

    def check_permitted(self, instance: Model) -> None:
        """Raise `NotAllowed` unless the operation is permitted where the object belongs, so that a change of nothing is
        no way around the action, which asks anew.
        """
        if self.action in self.own:
            return
        needed, standing = self.permissions[self.action], standing_in(self.request)
        if reach(standing, needed).everything:
            return
        if not access(self.noun, standing, needed).filter(pk=instance.pk).exists():
            raise refusal(needed)

    @contextmanager
    def locked(self, pk: UUID | int) -> Iterator[Any]:
        """The object, locked while it is changed.

        Raises NotFound, `NotAllowed`, or `Stale` when ``If-Match`` names another state.
        """
        with transaction.atomic():
            instance = self.find(self.get_queryset().select_for_update(of=("self",)), pk)
            self.check_permitted(instance)
            check_if_match(self.request, instance)
            yield instance


class Shown(Showing):
    """What every noun shows."""

    id = serializers.UUIDField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


def name_of(source: str, **kwargs: Any) -> serializers.CharField:
    """Another object's name, or null."""
    return serializers.CharField(source=source, allow_null=True, default=None, **kwargs)
