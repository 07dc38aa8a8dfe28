#include "client_shim/core/client.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/audit/verify.h"
#include "hsm_signer/audit_tools/reconcile.h"
#include "hsm_signer/audit_tools/text.h"
#include "hsm_signer/base/duration.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/wire/admin.h"

namespace hsm::ctl {
namespace {

using audit_tools::Claim;
using audit_tools::Event;
using audit_tools::Foreign;
using audit_tools::Item;
using audit_tools::printable;
using audit_tools::Reconciled;

// Of each list, for people.
constexpr std::size_t kShown = 100;
constexpr std::size_t kDetailLimit = 1000;

std::string content(Event event, const std::string& side, const std::string& asset,
                    const Decimal& amount, const std::optional<Decimal>& price,
                    const std::string& address) {
  std::string text = side + (side.empty() ? "" : " ") + amount.text() + " " + asset;
  if (event != Event::transfer) text += price ? " at " + price->text() : " at the market's price";
  if (!address.empty()) text += " to " + address;
  return text;
}
std::string content(const Item& item) {
  return content(item.event, item.side, item.asset, item.amount, item.price, item.address);
}
std::string content(const Claim& claim) {
  return content(claim.event, claim.side, claim.asset, claim.amount, claim.price, claim.address);
}

Json foreign_json(const Foreign& foreign) {
  const Item& item = foreign.item;
  Json json;
  json.text("event", name(item.event))
      .text("id", item.id)
      .text("client_id", item.client_id)
      .text("order_id", item.order_id)
      .text("time", rfc3339(item.time))
      .text("side", item.side)
      .text("asset", item.asset)
      .text("amount", item.amount.text())
      .text("price", item.price ? item.price->text() : "")
      .text("address", item.address)
      .text("why", foreign.why);
  return json;
}

std::string foreign_line(const Foreign& foreign) {
  const Item& item = foreign.item;
  std::string line = "FOREIGN " + std::string{name(item.event)} + " " + item.id;
  if (!item.client_id.empty()) line += " (client's id " + item.client_id + ")";
  return printable(line + ", " + rfc3339(item.time) + ": " + content(item)) + ": " + foreign.why +
         "\n";
}

Json reconciled_json(const Reconciled& done, const std::string& alarm,
                     const std::optional<std::uint64_t>& unsealed) {
  std::vector<std::string> foreign;
  for (const Foreign& one : done.foreign) foreign.push_back(foreign_json(one).done());
  std::vector<std::string> unseen;
  for (const Claim& claim : done.unseen_records) {
    Json json;
    json.number("seq", claim.seq).text("time", rfc3339(claim.time)).text("what", content(claim));
    unseen.push_back(json.done());
  }
  Json json;
  json.boolean("ok", done.ok())
      .number("orders", done.orders)
      .number("trades", done.trades)
      .number("transfers", done.transfers)
      .number("matched", done.matched)
      .number("incoming", done.incoming)
      .number("before_log", done.before_log)
      .number("outside", done.outside)
      .raw("foreign", json_array(foreign))
      .number("unseen", done.unseen)
      .raw("unseen_records", json_array(unseen))
      .text("alarm", alarm)
      .boolean("verified", unsealed.has_value());
  if (unsealed) json.number("unsealed", *unsealed);
  return json;
}

std::string count(std::uint64_t number, const std::string& what) {
  return number == 0 ? "" : std::to_string(number) + " " + what + "\n";
}

std::string reconciled_text(const Reconciled& done) {
  std::string text;
  for (std::size_t i = 0; i < std::min(done.foreign.size(), kShown); ++i)
    text += foreign_line(done.foreign[i]);
  if (done.foreign.size() > kShown)
    text += "and " + std::to_string(done.foreign.size() - kShown) + " more; see --json\n";
  for (std::size_t i = 0; i < std::min(done.unseen_records.size(), kShown); ++i) {
    const Claim& claim = done.unseen_records[i];
    text += printable("note: record " + std::to_string(claim.seq) + ", " + rfc3339(claim.time) +
                      ", does not show at the exchange: " + content(claim)) +
            "\n";
  }
  if (done.unseen > kShown)
    text += "note: and " + std::to_string(done.unseen - kShown) + " more records do not show\n";
  text += std::to_string(done.orders) + " orders, " + std::to_string(done.trades) + " trades, " +
          std::to_string(done.transfers) + " transfers; " + std::to_string(done.matched) +
          " were signed here\n";
  text += count(done.incoming, "came in: nobody signs those");
  text += count(done.before_log, "are older than the log: not judged");
  text += count(done.outside, "are outside of the time asked for: not judged");
  if (done.ok()) return text + "nothing foreign\n";
  return text + std::to_string(done.foreign.size()) +
         " FOREIGN: the secret is used elsewhere, or the account by hand\n";
}

Result<std::vector<Item>> read_histories(const ReconcileOptions& options) {
  if (options.orders.empty() && options.trades.empty() && options.transfers.empty())
    return fail(Code::usage, "nothing to compare the log with",
                "--orders, --trades or --transfers FILE");
  std::vector<Item> items;
  for (const std::string& path : options.orders)
    TRY_VOID(audit_tools::read_history(path, Event::order, items));
  for (const std::string& path : options.trades)
    TRY_VOID(audit_tools::read_history(path, Event::trade, items));
  for (const std::string& path : options.transfers)
    TRY_VOID(audit_tools::read_history(path, Event::transfer, items));
  return items;
}

// The signer's own log is told, where a signer is within reach: who reads the log alone learns of
// it too.
Result<void> raise_alarm(const Context& context, const ReconcileOptions& options,
                         const Reconciled& done) {
  std::string detail =
      std::to_string(done.foreign.size()) +
      " at the exchange that nobody signed here, the first: " + foreign_line(done.foreign.front());
  detail.pop_back();
  if (detail.size() > kDetailLimit) detail.resize(kDetailLimit);
  if (!audit::is_printable(detail)) detail = std::to_string(done.foreign.size()) + " items";
  std::string subject = "reconcile";
  if (!options.key.empty()) subject += " key:" + options.key;
  TRY(client::Client admin, context.admin());
  TRY_VOID(admin.call<wire::Done>(wire::RaiseAlarm{.subject = subject, .detail = detail}));
  return {};
}

// Whoever may write to the log's directory may write what was "signed here".
// Gives how many of its last records nothing proves; nothing where it was not verified.
Result<std::optional<std::uint64_t>> verify_first(Context& context,
                                                  const ReconcileOptions& options) {
  if (options.audit_key.empty()) {
    context.note("the log itself was not verified; --audit-key audit.pub.pem does that first");
    return std::optional<std::uint64_t>{};
  }
  TRY(const Bytes pem, read_file(options.audit_key, kPemLimit));
  TRY(const audit::Verified log, audit::verify_directory(options.directory, as_text(pem)));
  TRY_VOID(audit::verdict(log));
  if (log.unsealed != 0)
    context.note("the last " + std::to_string(log.unsealed) +
                 " records of the log are under no checkpoint: nothing proves those yet");
  return std::optional{log.unsealed};
}

}  // namespace

Result<void> audit_reconcile(Context& context, const ReconcileOptions& options) {
  audit_tools::ReconcileOptions wanted;
  wanted.filter.key = options.key;
  wanted.filter.api_key_id = options.api_key_id;
  TRY(wanted.filter.span, audit_tools::parse_span(options.since, options.until));
  TRY(wanted.skew, parse_duration(options.skew));
  TRY(std::vector<Item> items, read_histories(options));
  TRY(const std::optional<std::uint64_t> unsealed, verify_first(context, options));
  TRY(const Reconciled done, audit_tools::reconcile(options.directory, std::move(items), wanted));
  std::string alarm;  // What became of it; empty where there was no occasion, or no wish.
  if (!done.ok() && !options.no_alarm) {
    const auto raised = raise_alarm(context, options, done);
    alarm = raised ? "recorded as an alarm in the signer's log"
                   : "no alarm was recorded: " + raised.error().sentence();
  }
  context.answer(reconciled_json(done, alarm, unsealed), reconciled_text(done));
  if (done.ok()) return {};
  if (!alarm.empty()) context.note(alarm);
  return fail(Code::verification_failed, "the exchange shows what nobody signed here",
              std::to_string(done.foreign.size()) +
                  "; freeze the key and revoke it at the exchange if nobody knows of it");
}

}  // namespace hsm::ctl
