#include "hsm_signer/base/result.h"

#include <array>

namespace hsm {
namespace {

struct Row {
  Code code;
  std::string_view name;
  int exit;
  int http;
};

constexpr std::array kRows{
    Row{Code::denied, "denied", 1, 403},
    Row{Code::frozen, "frozen", 1, 403},
    Row{Code::cancel_only, "cancel_only", 1, 403},
    Row{Code::approval_required, "approval_required", 1, 403},
    Row{Code::key_not_active, "key_not_active", 1, 403},
    Row{Code::quarantined, "quarantined", 1, 403},
    Row{Code::unauthorized, "unauthorized", 1, 403},
    Row{Code::invalid_payload, "invalid_payload", 1, 400},
    Row{Code::nonce_conflict, "nonce_conflict", 1, 400},
    Row{Code::too_large, "too_large", 1, 413},
    Row{Code::rate_limited, "rate_limited", 1, 429},
    Row{Code::overloaded, "overloaded", 3, 503},
    Row{Code::token_unavailable, "token_unavailable", 3, 503},
    Row{Code::audit_unavailable, "audit_unavailable", 3, 503},
    Row{Code::state_unavailable, "state_unavailable", 3, 503},
    Row{Code::clock_skew, "clock_skew", 3, 503},
    Row{Code::internal, "internal", 3, 503},
    Row{Code::deadline_exceeded, "deadline_exceeded", 3, 504},
    Row{Code::protocol_error, "protocol_error", 3, 502},
    Row{Code::usage, "usage", 2, 400},
    Row{Code::verification_failed, "verification_failed", 4, 503},
};

const Row& row(Code code) {
  for (const Row& r : kRows) {
    if (r.code == code) return r;
  }
  return row(Code::internal);
}

}  // namespace

std::string_view name(Code code) { return row(code).name; }
int exit_status(Code code) { return row(code).exit; }
int http_status(Code code) { return row(code).http; }

Code code_from_name(std::string_view name) {
  for (const Row& r : kRows) {
    if (r.name == name) return r.code;
  }
  return Code::internal;
}

std::string Error::sentence() const {
  std::string text{what};
  if (!detail.empty()) text.append(text.empty() ? "" : ": ").append(detail);
  return text;
}

}  // namespace hsm
