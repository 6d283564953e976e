"""Django as a peer of ringserve: a project of one file."""

from __future__ import annotations

import json
from pathlib import Path

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

HELLO = "Hello, World!"
ORDERS = json.loads((Path(__file__).parent.parent / "orders.json").read_bytes())

settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="nothing here is signed with it",
    # Of the middleware that a new project has, the one that gives answers their length.
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


def hello(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(HELLO, content_type="text/plain")


def orders(_request: HttpRequest) -> HttpResponse:
    return JsonResponse(ORDERS, safe=False)


@require_POST
def ping(request: HttpRequest) -> HttpResponse:
    try:
        sequence = json.loads(request.body)["sequence"]
    except (ValueError, KeyError, TypeError):
        return HttpResponseBadRequest("not a ping")
    return JsonResponse({"sequence": sequence})


urlpatterns = [path("", hello), path("orders", orders), path("ping", ping)]
application = get_wsgi_application()
