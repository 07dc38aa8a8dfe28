#include "hsm_signer/venue/payload.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/container/small_vector.hpp>

#include "hsm_signer/base/decimal.h"
#include "hsm_signer/venue/ascii.h"
#include "hsm_signer/venue/path.h"

namespace hsm::venue {
namespace {

constexpr std::size_t kNonceDigits = 20;
constexpr std::size_t kNonceFractionDigits = 9;
constexpr std::size_t kIntegerDigits = 20;
// What build() may add to a request that came without: a comma, the name and the longest nonce.
constexpr std::size_t kNonceRoom = sizeof(R"(,"nonce":.)") + kNonceDigits + kNonceFractionDigits;

// A member of the outermost object.
struct Entry {
  std::string_view name;
  Value value;
  bool all_strings = false;        // An array of strings.
  std::size_t begin = 0, end = 0;  // Of an array or object, in Impl::nested.
};
using Entries = boost::container::small_vector<Entry, 16>;

const Entry* find_entry(const Entries& entries, std::string_view name) {
  for (const Entry& entry : entries)
    if (entry.name == name) return &entry;
  return nullptr;
}

// Collects the members; arrays and objects are written down again without white space, for build().
class Collector final : public JsonEvents {
 public:
  Collector(Entries& entries, std::string& nested) : entries_{entries}, nested_{nested} {}

  bool begin(Kind container) override {
    if (depth_++ == 0) return true;
    if (depth_ == 2)
      entries_.push_back({name_, {container, {}}, container == Kind::array, nested_.size(), 0});
    else
      separate_then_mark(false);
    nested_.push_back(container == Kind::array ? '[' : '{');
    return true;
  }
  bool end(Kind container) override {
    if (--depth_ == 0) return true;
    nested_.push_back(container == Kind::array ? ']' : '}');
    if (depth_ == 1) entries_.back().end = nested_.size();
    return true;
  }
  bool key(std::string_view name) override {
    if (depth_ == 1) {
      name_ = name;
      return true;
    }
    separate();
    append_json_string(name, nested_);
    nested_.push_back(':');
    return true;
  }
  bool scalar(const Value& value) override {
    if (depth_ == 1) {
      entries_.push_back({name_, value});
      return true;
    }
    separate_then_mark(value.kind == Kind::string);
    append(value);
    return true;
  }
  Error refusal() override { return {}; }  // Refuses nothing itself.

 private:
  // No comma at the start of a container or behind a name. Strings end in a quote, so the last byte
  // tells.
  void separate() {
    const char last = nested_.back();
    if (last != '[' && last != '{' && last != ':') nested_.push_back(',');
  }
  void separate_then_mark(bool string) {
    separate();
    if (!string) entries_.back().all_strings = false;
  }
  void append(const Value& value) {
    if (value.kind == Kind::string) return append_json_string(value.text, nested_);
    nested_.append(value.kind == Kind::null ? "null" : value.text);
  }

  Entries& entries_;
  std::string& nested_;
  std::string_view name_;
  std::size_t depth_ = 0;
};

bool is_nonce(const Value& value) {
  if (value.kind != Kind::string && value.kind != Kind::number) return false;
  const std::size_t point = value.text.find('.');
  const std::string_view whole = value.text.substr(0, point);
  if (!all_digits(whole) || whole.size() > kNonceDigits) return false;
  if (point == value.text.npos) return true;
  const std::string_view fraction = value.text.substr(point + 1);
  return all_digits(fraction) && fraction.size() <= kNonceFractionDigits;
}

bool is_integer(const Value& value) {
  if (value.kind != Kind::string && value.kind != Kind::number) return false;
  return all_digits(value.text) && value.text.size() <= kIntegerDigits;
}

bool is_amount(const Value& value) {
  if (value.kind == Kind::string) return Decimal::parse_plain(value.text).has_value();
  return value.kind == Kind::number && Decimal::parse_number(value.text).has_value();
}

// Null if `entry` has the type, else what it should have been.
const char* wrong_type(const Entry& entry, Type type) {
  switch (type) {
    case Type::text:
      return entry.value.kind == Kind::string ? nullptr : "has to be a string";
    case Type::integer:
      return is_integer(entry.value) ? nullptr : "has to be a whole number of at most 20 digits";
    case Type::amount:
      return is_amount(entry.value)
                 ? nullptr
                 : "has to be a decimal of at most 18 digits before and after the point, "
                   "without sign, as a string or a number";
    case Type::boolean:
      return entry.value.kind == Kind::boolean ? nullptr : "has to be true or false";
    case Type::texts:
      return entry.all_strings ? nullptr : "has to be an array of strings";
    case Type::any:
      return nullptr;
  }
  return "has a type that nobody knows";
}

// Members that every endpoint has. Request and nonce are checked by themselves.
constexpr Member kCommon[] = {
    {"request", Type::any}, {"nonce", Type::any}, {"account", Type::text}};

const Member* find_known(const Endpoint& endpoint, const auto& fits) {
  for (const Member& member : endpoint.members)
    if (fits(member.name)) return &member;
  for (const Member& member : kCommon)
    if (fits(member.name)) return &member;
  return nullptr;
}

bool judges_types(Class cls) {
  return cls == Class::trade || cls == Class::move || cls == Class::widen || cls == Class::admin;
}

Result<const Endpoint*> endpoint_of(const Entries& entries) {
  const Entry* request = find_entry(entries, "request");
  if (request == nullptr) return malformed("member missing", "request");
  if (request->value.kind != Kind::string)
    return malformed("member of the wrong type", "request has to be a string");
  if (request->value.text.find('?') != std::string_view::npos)
    return fail(Code::denied, "request with a query",
                "put the parameters into the payload, or leave them to the URL");
  const Endpoint* endpoint = find_endpoint(request->value.text);
  if (endpoint == nullptr) return fail(Code::denied, "request names no endpoint of the table");
  return endpoint;
}

}  // namespace

struct Payload::Impl {
  explicit Impl(std::string_view json) : text{json} {}

  Result<void> read() {
    Collector collector{entries, nested};
    TRY_VOID(parse_json(text, arena, collector));
    TRY(endpoint, endpoint_of(entries));
    request = find_entry(entries, "request")->value.text;
    for (std::size_t i = 0; i < entries.size(); ++i) TRY_VOID(judge(entries[i], i + 1));
    return {};
  }

  Result<void> judge(const Entry& entry, std::size_t place) {
    if (entry.name == "nonce" && !is_nonce(entry.value))
      return malformed(
          "nonce out of form",
          "1 to 20 digits, with a fraction of at most 9 where the key counts in seconds");
    const Member* known =
        find_known(*endpoint, [&](std::string_view name) { return name == entry.name; });
    if (known == nullptr) return judge_unknown(entry, place);
    if (!judges_types(endpoint->cls)) return {};
    if (const char* wanted = wrong_type(entry, known->type); wanted != nullptr)
      return malformed("member of the wrong type", fmt::format("{} {}", known->name, wanted));
    return {};
  }

  Result<void> judge_unknown(const Entry& entry, std::size_t place) {
    const Member* alike = find_known(
        *endpoint, [&](std::string_view name) { return equal_ignoring_case(name, entry.name); });
    if (alike != nullptr)
      return malformed("member name in another case",
                       fmt::format("member {} has to be spelled {}", place, alike->name));
    // unknown_member() could not say this one.
    if (entry.name.empty())
      return malformed("member without a name", fmt::format("member {}", place));
    if (unknown.empty()) unknown = entry.name;
    return {};
  }

  // The members besides request and nonce, and the end of the object.
  void append_others(std::string& out) const {
    for (const Entry& entry : entries) {
      if (entry.name == "request" || entry.name == "nonce") continue;
      out.push_back(',');
      append_json_string(entry.name, out);
      out.push_back(':');
      append(entry, out);
    }
    out.push_back('}');
  }

  void append(const Entry& entry, std::string& out) const {
    switch (entry.value.kind) {
      case Kind::string:
        append_json_string(entry.value.text, out);
        break;
      case Kind::array:
      case Kind::object:
        out.append(nested, entry.begin, entry.end - entry.begin);
        break;
      case Kind::null:
        out.append("null");
        break;
      default:
        out.append(entry.value.text);
    }
  }

  std::string text;    // Views of strings without escapes, and of numbers, point here;
  std::string arena;   // those of strings that had escapes here.
  std::string nested;  // Arrays and objects without white space.
  Entries entries;
  const Endpoint* endpoint = nullptr;
  std::string_view request;
  std::string_view nonce;
  std::string_view unknown;
  bool is_verbatim = false;
};

Result<std::string> decode_payload_base64(std::string_view b64) {
  if (b64.size() > kPayloadBase64Limit)
    return fail(Code::too_large, "payload",
                fmt::format("more than {} bytes of base64", kPayloadBase64Limit));
  TRY(const Bytes bytes, base64_decode_canonical(b64));
  return std::string{as_text(bytes)};
}

Result<Payload> Payload::parse_verbatim(std::string_view json) {
  if (base64_size(json.size()) > kPayloadBase64Limit)
    return fail(Code::too_large, "payload",
                fmt::format("more than {} bytes of base64", kPayloadBase64Limit));
  auto impl = std::make_unique<Impl>(json);
  TRY_VOID(impl->read());
  const Entry* nonce = find_entry(impl->entries, "nonce");
  if (nonce == nullptr) return malformed("member missing", "nonce");
  impl->nonce = nonce->value.text;
  impl->is_verbatim = true;
  return Payload{std::move(impl)};
}

Result<Payload> Payload::parse_request(std::string_view json) {
  if (base64_size(json.size() + kNonceRoom) > kPayloadBase64Limit)
    return fail(Code::too_large, "payload",
                fmt::format("more than {} bytes of base64 with its nonce", kPayloadBase64Limit));
  auto impl = std::make_unique<Impl>(json);
  TRY_VOID(impl->read());
  if (impl->entries.size() == kMembersLimit && find_entry(impl->entries, "nonce") == nullptr)
    return malformed("too many members", fmt::format("more than {} with the nonce", kMembersLimit));
  return Payload{std::move(impl)};
}

Payload::Payload(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Payload::Payload(Payload&&) noexcept = default;
Payload& Payload::operator=(Payload&&) noexcept = default;
Payload::~Payload() = default;

std::string_view Payload::request() const { return impl_->request; }
const Endpoint& Payload::endpoint() const { return *impl_->endpoint; }
std::string_view Payload::nonce() const { return impl_->nonce; }
std::string_view Payload::unknown_member(std::span<const std::string> besides) const {
  if (impl_->unknown.empty() || besides.empty()) return impl_->unknown;
  for (const Entry& entry : impl_->entries) {
    const auto same = [&](std::string_view name) { return name == entry.name; };
    if (find_known(*impl_->endpoint, same) != nullptr) continue;
    if (std::none_of(besides.begin(), besides.end(), same)) return entry.name;
  }
  return {};
}

std::optional<std::string_view> Payload::text_besides(std::string_view name,
                                                      std::span<const std::string> allowed) const {
  const Entry* entry = find_entry(impl_->entries, name);
  if (entry == nullptr || !entry->all_strings) return std::nullopt;
  // As written down by the Collector: ["a","b"], where only what needs an escape has one.
  std::string_view rest =
      std::string_view{impl_->nested}.substr(entry->begin, entry->end - entry->begin);
  for (std::size_t open = rest.find('"'); open != rest.npos; open = rest.find('"')) {
    rest.remove_prefix(open + 1);
    std::size_t close = 0;
    while (rest[close] != '"') close += rest[close] == '\\' ? 2 : 1;
    const std::string_view text = rest.substr(0, close);
    if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) return text;
    rest.remove_prefix(close + 1);
  }
  return std::nullopt;
}

Result<std::string> Payload::with_text(std::string_view name, std::string_view value) const {
  if (impl_->is_verbatim || find_entry(impl_->entries, name) != nullptr)
    return fail(Code::internal, "a member that the payload has or may not be given");
  std::string text = R"({"request":)";
  append_json_string(impl_->request, text);
  impl_->append_others(text);
  text.back() = ',';  // In place of the closing brace.
  append_json_string(name, text);
  text.push_back(':');
  append_json_string(value, text);
  text.push_back('}');
  return text;
}

std::string_view Payload::verbatim() const {
  return impl_->is_verbatim ? impl_->text : std::string_view{};
}

std::optional<Value> Payload::member(std::string_view name) const {
  if (name == "nonce" && !impl_->is_verbatim) return std::nullopt;  // Dropped.
  const Entry* entry = find_entry(impl_->entries, name);
  if (entry == nullptr) return std::nullopt;
  return entry->value;
}

std::string_view Payload::parameter(std::string_view name) const {
  return path_parameter(impl_->endpoint->path, impl_->request, name);
}

void Payload::build(std::string_view nonce, std::string& out) const {
  out.append(R"({"request":)");
  append_json_string(impl_->request, out);
  out.append(R"(,"nonce":)").append(nonce);
  impl_->append_others(out);
}

void Payload::build_without_nonce(std::string& out) const {
  std::string text = R"({"request":)";
  append_json_string(impl_->request, text);
  impl_->append_others(text);
  append_as_ascii(text, out);
}

}  // namespace hsm::venue
