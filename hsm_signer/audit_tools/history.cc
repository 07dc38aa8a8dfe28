#include "hsm_signer/audit_tools/history.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "hsm_signer/audit_tools/json_array.h"
#include "hsm_signer/venue/json.h"

namespace hsm::audit_tools {
namespace {

constexpr std::size_t kTextLimit = 256;
// Milliseconds of the year 2255: what Clock::Wall holds.
constexpr std::int64_t kLatestMs = 9'000'000'000'000;

std::string lower(std::string_view text) {
  std::string out{text};
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// The scalars of the outermost object.
class Members final : public venue::JsonEvents {
 public:
  bool begin(venue::Kind) override {
    ++depth_;
    return true;
  }
  bool end(venue::Kind) override {
    --depth_;
    return true;
  }
  bool key(std::string_view name) override {
    if (depth_ == 1) name_ = name;
    return true;
  }
  bool scalar(const venue::Value& value) override {
    if (depth_ == 1 && value.kind != venue::Kind::null) list_.push_back({name_, value.text});
    return true;
  }
  Error refusal() override { return {}; }

  // Empty where it is absent, null or no scalar.
  std::string_view get(std::string_view name) const {
    const auto found = std::find_if(list_.begin(), list_.end(),
                                    [&](const auto& member) { return member.first == name; });
    return found == list_.end() ? std::string_view{} : found->second;
  }
  std::string_view first_of(std::initializer_list<std::string_view> names) const {
    for (const std::string_view name : names)
      if (!get(name).empty()) return get(name);
    return {};
  }

 private:
  std::size_t depth_ = 0;
  std::string_view name_;
  std::vector<std::pair<std::string_view, std::string_view>> list_;
};

tl::unexpected<Error> wrong(std::string_view member) {
  return fail(Code::usage, "a member is missing or has another form", std::string{member});
}

Result<std::string> text_of(const Members& members, std::string_view member) {
  const std::string_view text = members.get(member);
  if (text.empty() || text.size() > kTextLimit) return wrong(member);
  return std::string{text};
}

Result<Decimal> amount_of(const Members& members, std::string_view member) {
  const Result<Decimal> amount = parse_amount(members.get(member));
  if (!amount) return wrong(member);
  return *amount;
}

Result<Clock::Wall> time_of(const Members& members) {
  const std::string_view ms = members.get("timestampms");
  const std::string_view text = ms.empty() ? members.get("timestamp") : ms;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value <= 0 ||
      value > (ms.empty() ? kLatestMs / 1000 : kLatestMs))
    return wrong("timestampms");
  return Clock::Wall{std::chrono::milliseconds{ms.empty() ? value * 1000 : value}};
}

Result<std::string> side_of(const Members& members, std::string_view member) {
  const std::string side = lower(members.get(member));
  if (side != "buy" && side != "sell") return wrong(member);
  return side;
}

Result<void> read_order(const Members& members, Item& item) {
  TRY(item.id, text_of(members, "order_id"));
  TRY(const std::string symbol, text_of(members, "symbol"));
  item.asset = asset_name(symbol);
  TRY(item.side, side_of(members, "side"));
  TRY(item.amount, amount_of(members, "original_amount"));
  // "market buy": its price is what the exchange made of it, not what was signed.
  if (lower(members.get("type")).find("market") != std::string::npos) return {};
  TRY(item.price, amount_of(members, "price"));
  return {};
}

Result<void> read_trade(const Members& members, Item& item) {
  TRY(item.id, text_of(members, "tid"));
  TRY(item.order_id, text_of(members, "order_id"));
  TRY(const std::string symbol, text_of(members, "symbol"));
  item.asset = asset_name(symbol);
  TRY(item.side, side_of(members, "type"));
  TRY(item.amount, amount_of(members, "amount"));
  TRY(item.price, amount_of(members, "price"));
  return {};
}

Result<void> read_transfer(const Members& members, Item& item) {
  TRY(item.id, text_of(members, "eid"));
  TRY(const std::string currency, text_of(members, "currency"));
  item.asset = asset_name(currency);
  TRY(const std::string type, text_of(members, "type"));
  item.side = lower(type);
  TRY(item.amount, amount_of(members, "amount"));
  item.address = address_name(members.get("destination"));
  return {};
}

Result<Item> read_item(std::string_view object, Event event) {
  std::string arena;
  Members members;
  TRY_VOID(venue::parse_json(object, arena, members));
  Item item;
  item.event = event;
  item.client_id = client_id_name(
      event, members.first_of({"client_order_id", "clientTransferId", "client_transfer_id"}));
  if (item.client_id.size() > kTextLimit || members.get("destination").size() > kTextLimit)
    return wrong(event == Event::transfer ? "destination" : "client_order_id");
  TRY(item.time, time_of(members));
  switch (event) {
    case Event::order:
      TRY_VOID(read_order(members, item));
      break;
    case Event::trade:
      TRY_VOID(read_trade(members, item));
      break;
    case Event::transfer:
      TRY_VOID(read_transfer(members, item));
      break;
  }
  return item;
}

// Two of an owner's accounts may show the two sides of one trade or transfer, each its own.
std::string name_of(const Item& item) {
  return item.event == Event::order ? item.id : item.id + " " + item.side;
}

}  // namespace

std::string_view name(Event event) {
  switch (event) {
    case Event::order:
      return "order";
    case Event::trade:
      return "trade";
    case Event::transfer:
      break;
  }
  return "transfer";
}

Result<void> read_history(const std::string& path, Event event, std::vector<Item>& items) {
  std::unordered_set<std::string> known;
  for (const Item& item : items)
    if (item.event == event) known.insert(name_of(item));
  TRY(JsonArrayReader reader, JsonArrayReader::open(path));
  for (;;) {
    TRY(const std::optional<std::string_view> object, reader.next());
    if (!object) return {};
    Result<Item> item = read_item(*object, event);
    if (!item)
      return fail(
          Code::usage, "not what the exchange answers with",
          path + ", object " + std::to_string(reader.number()) + ": " + item.error().sentence());
    if (!known.insert(name_of(*item)).second) continue;
    if (items.size() == kItemsLimit)
      return fail(Code::too_large, "a history of more items than fit", "compare day by day");
    items.push_back(*std::move(item));
  }
}

std::string asset_name(std::string_view text) {
  std::string name = lower(text);
  return name == "gusd" ? "usd" : name;
}

std::string client_id_name(Event event, std::string_view text) {
  return event == Event::transfer ? lower(text) : std::string{text};
}

std::string address_name(std::string_view text) {
  return text.starts_with("0x") || text.starts_with("0X") ? lower(text) : std::string{text};
}

Result<Decimal> parse_amount(std::string_view text) {
  Result<Decimal> plain = Decimal::parse_plain(text);
  return plain ? plain : Decimal::parse_number(text);
}

}  // namespace hsm::audit_tools
