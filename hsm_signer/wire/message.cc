#include "hsm_signer/wire/message.h"

namespace hsm::wire::detail {

void Decoder::refuse(std::string_view what, std::uint16_t tag) {
  if (!error_)
    error_ =
        Error{.code = Code::protocol_error, .what = what, .detail = "tag " + std::to_string(tag)};
}

Result<void> Decoder::finish() {
  if (error_) return fail(*std::move(error_));
  for (; const auto field = cursor_.peek(); cursor_.advance()) {
    if (field->tag < kSkippableTag)
      return fail(Code::protocol_error, "unknown field", "tag " + std::to_string(field->tag));
  }
  return {};
}

}  // namespace hsm::wire::detail
