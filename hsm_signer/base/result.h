// Result<T>: the one way this code says that something can fail.
//
// A fallible function returns Result<T>; exceptions are left for bugs and exhausted memory and are
// caught only at the rims (connection coroutine, token-host loop, C ABI function, main).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace hsm {

// What a client, a script or an operator can act on. Spelled in answers exactly as here; the exit
// and HTTP status of each stands in result.cc.
enum class Code : std::uint8_t {
  // Refused: asking again the same way will not help.
  denied = 1,
  frozen,
  cancel_only,
  approval_required,
  key_not_active,
  quarantined,
  unauthorized,
  invalid_payload,
  nonce_conflict,
  too_large,
  rate_limited,
  // Failed: nothing wrong with the request.
  overloaded,
  token_unavailable,
  audit_unavailable,
  state_unavailable,
  clock_skew,
  internal,
  deadline_exceeded,
  protocol_error,
  // Said by programs on the command line only.
  usage,
  verification_failed,
};

// The name as it stands in answers, e.g. "deadline_exceeded".
std::string_view name(Code code);
// The inverse of name(); Code::internal for a name that is not known.
Code code_from_name(std::string_view name);
// 1 refused, 2 usage, 3 unavailable, 4 verification failed.
int exit_status(Code code);
int http_status(Code code);

// `detail` is built only from names in our own files, known member names, numbers and line:column:
// no secret and no free client text ever enters it.
struct Error {
  Code code = Code::internal;
  std::string_view what;  // A literal.
  std::string detail{};
  unsigned long ck_rv = 0;  // The CK_RV where a PKCS#11 call was the cause, else 0.
  std::uint32_t retry_after_ms = 0;
  std::string approval{};  // With approval_required: the id of what waits for officers.

  // "what: detail", for people.
  std::string sentence() const;
};

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

inline tl::unexpected<Error> fail(Code code, std::string_view what, std::string detail = {}) {
  return tl::unexpected<Error>{Error{.code = code, .what = what, .detail = std::move(detail)}};
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>{std::move(error)}; }

}  // namespace hsm

// Plain statements, not statement expressions: those crash g++ 12 inside a coroutine.
#define HSM_CONCAT_INNER(a, b) a##b
#define HSM_CONCAT(a, b) HSM_CONCAT_INNER(a, b)

#define HSM_TRY_WITH(ret, tmp, decl, expr)                              \
  auto tmp = (expr);                                                    \
  if (!tmp) ret ::tl::unexpected<::hsm::Error>{std::move(tmp).error()}; \
  decl = *std::move(tmp)
#define HSM_TRY_VOID_WITH(ret, tmp, expr)                           \
  if (auto tmp = (expr); !tmp) ret ::tl::unexpected<::hsm::Error> { \
      std::move(tmp).error()                                        \
    }

// TRY(auto x, f()): declares x with f()'s value, or returns f()'s error.
#define TRY(decl, expr) HSM_TRY_WITH(return, HSM_CONCAT(try_, __COUNTER__), decl, expr)
#define TRY_VOID(expr) HSM_TRY_VOID_WITH(return, HSM_CONCAT(try_, __COUNTER__), expr)
#define CO_TRY(decl, expr) HSM_TRY_WITH(co_return, HSM_CONCAT(try_, __COUNTER__), decl, expr)
#define CO_TRY_VOID(expr) HSM_TRY_VOID_WITH(co_return, HSM_CONCAT(try_, __COUNTER__), expr)
