#include "hsm_signer/nonce/form.h"

#include <algorithm>
#include <array>

namespace hsm::nonce {
namespace {

constexpr std::size_t kWholeDigits = 20;
constexpr std::size_t kFractionDigits = 9;

struct Row {
  Form form;
  std::string_view name;
  std::uint64_t per_second;
  bool caller;
};
constexpr std::array kForms{
    Row{Form::signer_ms, "signer-ms", 1'000, false},
    Row{Form::signer_us, "signer-us", 1'000'000, false},
    Row{Form::signer_s, "signer-s", 1, false},
    Row{Form::caller_s, "caller-s", 1, true},
    Row{Form::caller_ms, "caller-ms", 1'000, true},
    Row{Form::caller_us, "caller-us", 1'000'000, true},
    Row{Form::caller_ns, "caller-ns", 1'000'000'000, true},
};
constexpr const Row& row(Form form) { return kForms[static_cast<std::size_t>(form)]; }
constexpr bool rows_stand_at_their_index() {
  for (std::size_t i = 0; i < kForms.size(); ++i) {
    if (kForms[i].form != static_cast<Form>(i)) return false;
  }
  return true;
}
static_assert(rows_stand_at_their_index());

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

tl::unexpected<Error> not_a_nonce() {
  return fail(Code::invalid_payload,
              "not a nonce: 1 to 20 digits, then at most a point and 1 to 9 digits");
}

}  // namespace

std::string_view name(Form form) { return row(form).name; }
bool is_caller(Form form) { return row(form).caller; }
std::uint64_t per_second(Form form) { return row(form).per_second; }

Result<Form> form_from_name(std::string_view text) {
  if (text == "caller") return Form::caller_ms;
  for (const Row& known : kForms) {
    if (known.name == text) return known.form;
  }
  return fail(Code::usage, "unknown nonce form",
              "use signer-ms, signer-us, signer-s, caller-s, caller-ms, caller-us or caller-ns");
}

Result<Value> Value::parse(std::string_view text) {
  const std::size_t point = text.find('.');
  const std::string_view whole_part = text.substr(0, point);
  if (whole_part.empty() || whole_part.size() > kWholeDigits || !all_digits(whole_part))
    return not_a_nonce();
  std::string_view fraction;
  if (point != std::string_view::npos) {
    fraction = text.substr(point + 1);
    if (fraction.empty() || fraction.size() > kFractionDigits || !all_digits(fraction))
      return not_a_nonce();
  }
  Uint128 units = 0;
  for (char c : whole_part) units = units * 10 + static_cast<unsigned>(c - '0');
  for (std::size_t i = 0; i < kFractionDigits; ++i)
    units = units * 10 + (i < fraction.size() ? static_cast<unsigned>(fraction[i] - '0') : 0U);
  return Value{units};
}

std::string Value::text(std::size_t fraction_digits) const {
  std::array<char, 48> digits;  // 2^128 has 39 digits.
  char* const end = digits.data() + digits.size();
  char* at = end;
  Uint128 rest = units / kScale;
  do {
    *--at = static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  std::string out{at, end};
  auto fraction = static_cast<std::uint64_t>(units % kScale);
  if (fraction == 0 && fraction_digits == 0) return out;
  std::string tail(kFractionDigits, '0');
  for (std::size_t i = kFractionDigits; i-- > 0; fraction /= 10)
    tail[i] = static_cast<char>('0' + static_cast<int>(fraction % 10));
  tail.resize(std::max(tail.find_last_not_of('0') + 1, fraction_digits));
  return out.append(1, '.').append(tail);
}

}  // namespace hsm::nonce
