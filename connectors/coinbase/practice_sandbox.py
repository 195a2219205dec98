"""Coinbase's sandbox from the venue's side: canned replies."""

from __future__ import annotations

from typing import Any

from connectors.coinbase.practice_terms import ApiError
from connectors.practice.protocol import HttpAnswer, HttpRequest, json_answer


def sandbox(request: HttpRequest) -> HttpAnswer:
    """Canned replies for accounts and orders, without a key; `X-Sandbox` picks an error."""
    if request.headers.get("x-sandbox"):
        return json_answer({"error": "INVALID_ARGUMENT", "error_details": "", "message": "sandbox"}, 400)
    name = "0000-000000-000000"
    order = {"order_id": name, "product_id": "BTC-USD", "side": "BUY", "client_order_id": name, "status": "OPEN"}
    replies: dict[tuple[str, str], Any] = {
        ("GET", "/accounts"): {"accounts": [], "has_next": False, "cursor": "", "size": 0},
        ("POST", "/orders"): {"success": True, "success_response": order, "order_configuration": {}},
        ("POST", "/orders/batch_cancel"): {
            "results": [{"success": True, "failure_reason": "UNKNOWN_CANCEL_FAILURE_REASON", "order_id": name}]
        },
        ("POST", "/orders/edit"): {"success": True, "errors": []},
        ("GET", "/orders/historical/batch"): {"orders": [order], "has_next": False, "cursor": ""},
        ("GET", "/orders/historical/fills"): {"fills": [], "cursor": ""},
        ("GET", f"/orders/historical/{name}"): {"order": order},
    }
    found = replies.get((request.method, request.path.removeprefix("/api/v3/brokerage")))
    return ApiError(404, "not_found").answer() if found is None else json_answer(found)
