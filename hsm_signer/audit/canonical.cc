#include "hsm_signer/audit/canonical.h"

namespace hsm::audit {
namespace {

bool has(const std::vector<Field>& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(),
                     [&](const Field& field) { return field.name == name; });
}

}  // namespace

std::string hex64_text(std::uint64_t value) {
  std::string digits(16, '0');
  for (std::size_t i = digits.size(); i-- > 0; value >>= 4)
    digits[i] = "0123456789abcdef"[value & 0x0f];
  return digits;
}

bool parse_hex64(std::string_view text, std::uint64_t& value) {
  if (text.size() != 16 || !std::all_of(text.begin(), text.end(), is_hex)) return false;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return true;
}

Sha256 hash_of(std::string_view hex) {
  Sha256 hash{};
  const auto bytes = hex_decode(hex);
  if (bytes && bytes->size() == hash.size()) std::copy(bytes->begin(), bytes->end(), hash.begin());
  return hash;
}

void Writer::text(std::string_view member, std::string_view value, Form form) {
  name(member);
  const bool fits = form == nullptr || form(value);
  if (!fits || !append_json_string(value, out_)) refuse(member);
}

void Writer::time(std::string_view member, const Clock::Wall& value) {
  if (value < Clock::Wall{}) return refuse(member);
  text(member, rfc3339(value));
}

void Writer::fields(std::string_view member, const std::vector<Field>& list) {
  name(member);
  if (list.size() > kFieldsLimit) return refuse(member);
  out_.push_back('{');
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i != 0) out_.push_back(',');
    bool fine = append_json_string(list[i].name, out_);
    out_.push_back(':');
    fine = append_json_string(list[i].value, out_) && fine;
    for (std::size_t before = 0; before < i; ++before)
      fine = fine && list[before].name != list[i].name;
    if (!fine) return refuse(member);
  }
  out_.push_back('}');
}

void Writer::texts(std::string_view member, const std::vector<std::string>& list, std::size_t most,
                   Form form) {
  name(member);
  if (list.size() > most) return refuse(member);
  out_.push_back('[');
  for (const std::string& text : list) {
    if (&text != &list.front()) out_.push_back(',');
    if (!form(text) || !append_json_string(text, out_)) return refuse(member);
  }
  out_.push_back(']');
}

bool Reader::skip(char c) {
  if (!fine() || at_ >= line_.size() || line_[at_] != c) return false;
  ++at_;
  return true;
}

bool Reader::digits(std::string_view member, std::uint64_t& value) {
  const char* begin = line_.data() + at_;
  const auto [end, error] = std::from_chars(begin, line_.data() + line_.size(), value);
  const bool canonical = error == std::errc{} && (*begin != '0' || end == begin + 1);
  if (!canonical) refuse(member);
  if (canonical) at_ += static_cast<std::size_t>(end - begin);
  return canonical;
}

bool Reader::time_behind_name(Clock::Wall& value) {
  const auto got = read_plain_string(line_, at_);
  if (!got) return false;
  const Result<Clock::Wall> time = parse_rfc3339(*got);
  if (time) value = *time;
  return time.has_value();
}

void Reader::fields(std::string_view member, std::vector<Field>& list) {
  list.clear();
  if (!name(member)) return;
  if (!skip('{')) return refuse(member);
  while (!skip('}')) {
    Field field;
    const bool whole = (list.empty() || skip(',')) && read_json_string(line_, at_, field.name) &&
                       skip(':') && read_json_string(line_, at_, field.value);
    if (!whole || list.size() == kFieldsLimit || has(list, field.name)) return refuse(member);
    list.push_back(std::move(field));
  }
}

void Reader::texts(std::string_view member, std::vector<std::string>& list, std::size_t most,
                   Form form) {
  list.clear();
  if (!name(member)) return;
  if (!skip('[')) return refuse(member);
  while (!skip(']')) {
    std::string text;
    const bool whole =
        (list.empty() || skip(',')) && read_json_string(line_, at_, text) && form(text);
    if (!whole || list.size() == most) return refuse(member);
    list.push_back(std::move(text));
  }
}

}  // namespace hsm::audit
