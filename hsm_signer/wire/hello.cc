#include "hsm_signer/wire/hello.h"

namespace hsm::wire {

Failure to_failure(const Error& error) {
  return {.code = std::string{name(error.code)},
          .sentence = error.sentence(),
          .retry_after_ms = error.retry_after_ms,
          .ck_rv = error.ck_rv,
          .approval = error.approval};
}

Error to_error(const Failure& failure) {
  return {.code = code_from_name(failure.code),
          .what = {},
          .detail = failure.sentence,
          .ck_rv = static_cast<unsigned long>(failure.ck_rv),
          .retry_after_ms = failure.retry_after_ms,
          .approval = failure.approval};
}

}  // namespace hsm::wire
