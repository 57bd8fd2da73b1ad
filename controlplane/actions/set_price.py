from django.db import transaction

from audit.operations import Operation
from audit.record import Actor, record
from controlplane import publish
from controlplane.actions.base import difference, project_name, snapshot, target_of, validate
from controlplane.models import ModelVersion
from controlplane.permissions import Permission, require

PRICES = ("prompt_price_micros", "completion_price_micros")


@transaction.atomic
def set_price(version: ModelVersion, *, actor: Actor, reason: str = "", **prices: int) -> ModelVersion:
    """What a million tokens of the version cost, in micro-units, named as in `PRICES`; one left out stays as it is.

    The platform's word, even for a project's own model: budgets of cost that bind the project are counted by it.
    """
    require(actor, Permission.VERSION_PRICE)
    if unknown := prices.keys() - set(PRICES):
        raise TypeError(f"there is no price {', '.join(sorted(unknown))}")
    version = ModelVersion.objects.select_for_update(of=("self",)).select_related("model__project").get(pk=version.pk)
    before = snapshot(version, PRICES)
    for name, price in prices.items():
        setattr(version, name, price)
    validate(version)
    if changes := difference(before, snapshot(version, PRICES)):
        version.save(update_fields=[*PRICES, "updated_at"])
        record(
            Operation.VERSION_PRICED, actor=actor, target=target_of(version), reason=reason, changes=changes,
            project=project_name(version.model.project),
        )  # fmt: skip
        transaction.on_commit(publish.publish_limits)
    return version
