"""Forms: text of a browser in, typed values out; limits of the business stand in the services."""

from collections.abc import Mapping
from typing import Any, Final

from django import forms

from engine.errors import InvalidInputError
from webapp.dashboard.pages import describe_refusal

_CLASS_BY_WIDGET: Final = (
    (forms.CheckboxSelectMultiple, ""),
    (forms.RadioSelect, ""),
    (forms.CheckboxInput, ""),
    (forms.FileInput, "file"),
    (forms.Textarea, "textarea"),
    (forms.Select, "select"),
    (forms.Widget, "input"),
)


_FILE: Final = "file"


class ConsoleForm(forms.Form):
    """A form in the console's look that can show what a service refused beside the field."""

    # What a service calls a field that the page shows under another name, e.g. because of its unit.
    names: Mapping[str, str] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            css = next(name for widget, name in _CLASS_BY_WIDGET if isinstance(field.widget, widget))
            if css:
                field.widget.attrs["class"] = f"{css} {field.widget.attrs.get('class', '')}".strip()

    def add_refusal(self, error: InvalidInputError) -> None:
        """Show what a service refused beside its field; what is wrong inside a file stands beside the file."""
        name = self.names.get(error.field, error.field)
        if name not in self.fields and _FILE in self.fields:
            name = _FILE
        if name in self.fields:
            self.add_error(name, describe_refusal(error))
        else:
            self.add_error(None, f"{error.message}: {error.remedy}.")


class OfferFilterForm(ConsoleForm):
    """Filters of the market; every one may be left out."""

    gpu = forms.ChoiceField(label="GPU", required=False)
    provider = forms.ChoiceField(label="Provider", required=False)
    region = forms.ChoiceField(label="Region", required=False)
    market = forms.ChoiceField(label="Market", required=False)
    max_price = forms.DecimalField(
        label="Highest USD per GPU-hour",
        required=False,
        min_value=0,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal", "placeholder": "any"}),
    )

    def __init__(self, *args: Any, choices: Mapping[str, tuple[str, ...]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, values in choices.items():
            words = [(value, value.replace("_", " ")) for value in values]
            field = self.fields[name]
            if isinstance(field, forms.ChoiceField):
                field.choices = [("", "All"), *words]


class OfferImportForm(ConsoleForm):
    """A table of offers."""

    source = forms.CharField(
        label="Name of the table", max_length=300, help_text="Shown in the list of loads, e.g. “price list May 2026”."
    )
    file = forms.FileField(
        label="CSV file",
        help_text="Columns: provider, region, instance_type, gpu, gpu_count, market, usd_per_hour, source, "
        "observed_at; optional: zone, available_count, interruption_class.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )


class ModelUploadForm(ConsoleForm):
    """A model to plan with."""

    slug = forms.CharField(label="Identity", max_length=64, help_text="Small letters, digits, dots and dashes.")
    name = forms.CharField(label="Name", max_length=128, help_text="As served, e.g. the repository’s name.")
    file = forms.FileField(
        label="config.json",
        help_text="The model’s Hugging Face configuration.",
        widget=forms.FileInput(attrs={"accept": ".json,application/json"}),
    )


class WorkloadUploadForm(ConsoleForm):
    """A trace to plan with."""

    slug = forms.CharField(label="Identity", max_length=64, help_text="Small letters, digits, dots and dashes.")
    name = forms.CharField(label="Name", max_length=128)
    num_classes = forms.IntegerField(
        label="Request classes", initial=9, min_value=1, max_value=32, help_text="More follow the trace more closely."
    )
    file = forms.FileField(
        label="Trace",
        help_text="CSV with the columns TIMESTAMP, ContextTokens, GeneratedTokens.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )


class NameForm(ConsoleForm):
    """The name of a new key or token."""

    name = forms.CharField(
        label="Name", max_length=64, widget=forms.TextInput(attrs={"placeholder": "e.g. chat-backend"})
    )


class SpendLimitForm(ConsoleForm):
    """What a deployment may spend in all; empty lifts the limit."""

    spend_limit_usd = forms.DecimalField(
        label="Spend limit",
        required=False,
        max_digits=12,
        decimal_places=4,
        help_text="What it may cost in all. At 80 % people are told; at the limit nothing more is rented and machines "
        "are released. Empty: no limit.",
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal", "placeholder": "no limit"}),
    )
