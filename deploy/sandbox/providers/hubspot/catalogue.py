"""List the object types, properties, scopes and versions that the simulated accounts know."""

from __future__ import annotations

from functools import cache
from typing import Final

RESOURCES: Final = ("companies", "contacts", "deals")
VERSIONS: Final = frozenset({"v3", "2026-03", "2026-09"})

UI_DOMAIN: Final = "app.hubspot.com"
TYPE_IDS: Final = {"companies": "0-2", "contacts": "0-1", "deals": "0-3"}
ALIASES: Final = {
    "company": "companies",
    "contact": "contacts",
    "deal": "deals",
    **{type_id: name for name, type_id in TYPE_IDS.items()},
    **{name: name for name in RESOURCES},
}

SINGULAR: Final = {"companies": "company", "contacts": "contact", "deals": "deal"}

OWNERS_SCOPE: Final = "crm.objects.owners.read"
SCOPES: Final = frozenset(
    {"oauth", OWNERS_SCOPE, "settings.users.read", "account-info.security.read"}
    | {
        f"crm.{kind}.{name}.{verb}"
        for kind in ("objects", "schemas")
        for name in RESOURCES
        for verb in ("read", "write")
    }
)

MODIFIED: Final = {
    "companies": "hs_lastmodifieddate",
    "contacts": "lastmodifieddate",
    "deals": "hs_lastmodifieddate",
}

DEFAULTS: Final = {
    "companies": ("name", "domain"),
    "contacts": ("firstname", "lastname", "email"),
    "deals": ("dealname", "amount", "closedate", "pipeline", "dealstage"),
}
"""Answered when a request names no properties, besides the three system properties."""

_EVERYWHERE: Final = {
    "string": """hs_all_owner_ids hs_merged_object_ids hs_user_ids_of_all_owners
        hs_object_source_label""",
    "number": "hs_object_id num_notes num_contacted_notes hs_num_open_tasks",
    "datetime": """createdate notes_last_updated notes_last_contacted notes_next_activity_date
        hubspot_owner_assigneddate""",
    "enumeration": "hubspot_owner_id hs_analytics_source",
    "bool": "hs_was_imported hs_is_flagged",
}

_TYPES: Final[dict[str, dict[str, str]]] = {
    "companies": {
        "string": """name domain website phone address address2 city state zip country description
            about_us timezone linkedin_company_page facebook_company_page twitterhandle founded_year
            hs_logo_url web_technologies""",
        "number": """annualrevenue numberofemployees num_associated_contacts num_associated_deals
            recent_deal_amount total_revenue hs_analytics_num_page_views hs_analytics_num_visits""",
        "datetime": """hs_lastmodifieddate closedate recent_deal_close_date
            hs_analytics_first_timestamp first_contact_createdate""",
        "enumeration": "industry type lifecyclestage hs_lead_status hs_ideal_customer_profile",
        "bool": "is_public hs_is_target_account",
    },
    "contacts": {
        "string": """firstname lastname email phone mobilephone company jobtitle website address
            city state zip country fax message salutation hs_email_domain hs_language hs_timezone
            twitterhandle associatedcompanyid""",
        "number": """hs_analytics_num_page_views hs_analytics_num_visits hs_email_delivered
            hs_email_open hs_email_click num_associated_deals recent_deal_amount total_revenue
            hubspotscore""",
        "datetime": """lastmodifieddate hs_analytics_first_timestamp hs_email_last_open_date
            closedate hs_lifecyclestage_lead_date hs_lifecyclestage_customer_date""",
        "date": "date_of_birth",
        "enumeration": "lifecyclestage hs_lead_status hs_persona hs_marketable_status industry",
        "bool": "hs_email_optout hs_is_unworked",
    },
    "deals": {
        "string": """dealname description closed_lost_reason closed_won_reason hs_next_step
            deal_currency_code hs_campaign""",
        "number": """amount amount_in_home_currency hs_deal_stage_probability hs_projected_amount
            hs_forecast_amount hs_tcv hs_acv hs_arr hs_mrr days_to_close num_associated_contacts""",
        "datetime": """hs_lastmodifieddate closedate hs_date_entered_qualifiedtobuy
            hs_date_entered_closedwon engagements_last_meeting_booked""",
        "enumeration": "dealstage pipeline dealtype hs_priority hs_forecast_category",
        "bool": "hs_is_closed hs_is_closed_won",
    },
}

HIDDEN: Final = frozenset({"hs_merged_object_ids", "hs_user_ids_of_all_owners", "hs_was_imported"})
"""Properties that people do not see."""
FIELD_TYPES: Final = {
    "string": "text",
    "number": "number",
    "datetime": "date",
    "date": "date",
    "enumeration": "select",
    "bool": "booleancheckbox",
}

OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "lifecyclestage": (
        "subscriber",
        "lead",
        "marketingqualifiedlead",
        "salesqualifiedlead",
        "opportunity",
        "customer",
    ),
    "hs_lead_status": ("NEW", "OPEN", "IN_PROGRESS", "OPEN_DEAL", "UNQUALIFIED", "CONNECTED"),
    "hs_analytics_source": (
        "ORGANIC_SEARCH",
        "PAID_SEARCH",
        "EMAIL_MARKETING",
        "REFERRALS",
        "DIRECT_TRAFFIC",
        "OFFLINE",
    ),
    "industry": (
        "COMPUTER_SOFTWARE",
        "CONSTRUCTION",
        "FOOD_BEVERAGES",
        "HOSPITAL_HEALTH_CARE",
        "LOGISTICS",
        "RETAIL",
    ),
    "type": ("PROSPECT", "PARTNER", "RESELLER", "VENDOR"),
    "hs_ideal_customer_profile": ("tier_1", "tier_2", "tier_3"),
    "hs_persona": ("persona_1", "persona_2", "persona_3"),
    "hs_marketable_status": ("true", "false"),
    "dealstage": (
        "appointmentscheduled",
        "qualifiedtobuy",
        "presentationscheduled",
        "contractsent",
        "closedwon",
        "closedlost",
    ),
    "pipeline": ("default",),
    "dealtype": ("newbusiness", "existingbusiness"),
    "hs_priority": ("low", "medium", "high"),
    "hs_forecast_category": ("OMIT", "PIPELINE", "BEST_CASE", "COMMIT"),
}


@cache
def property_types(resource: str) -> dict[str, str]:
    """Return property name → HubSpot's type, for the properties that every account has."""
    groups = (_EVERYWHERE, _TYPES[resource])
    return {
        name: kind for group in groups for kind, names in group.items() for name in names.split()
    }
