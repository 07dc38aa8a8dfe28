#include "hsm_signer/audit/record.h"

#include <algorithm>
#include <array>

#include "hsm_signer/audit/canonical.h"

namespace hsm::audit {
namespace {

constexpr std::array kKinds{
    Spelling<Kind>{Kind::sign, "sign"},   Spelling<Kind>{Kind::key, "key"},
    Spelling<Kind>{Kind::start, "start"}, Spelling<Kind>{Kind::stop, "stop"},
    Spelling<Kind>{Kind::gap, "gap"},     Spelling<Kind>{Kind::admin, "admin"},
    Spelling<Kind>{Kind::usage, "usage"}, Spelling<Kind>{Kind::refusals, "refusals"},
    Spelling<Kind>{Kind::token, "token"}};
constexpr std::array kVerdicts{Spelling<Verdict>{Verdict::allow, "allow"},
                               Spelling<Verdict>{Verdict::refuse, "refuse"}};

// Forms of text members; nullptr is any text.
constexpr Form any = nullptr;
bool some(std::string_view text) { return !text.empty(); }
// A record has 128 of these digits: a table, and no branch for each.
constexpr auto kIsHex = [] {
  std::array<bool, 256> table{};
  for (const char c : std::string_view{"0123456789abcdef"}) table[static_cast<Byte>(c)] = true;
  return table;
}();
bool hash(std::string_view text) {
  if (text.size() != 64) return false;
  bool hex = true;
  for (const char c : text) hex &= kIsHex[static_cast<Byte>(c)];
  return hex;
}
bool hash_or_none(std::string_view text) { return text.empty() || hash(text); }
bool word(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || c == '_';
  });
}
bool remark(std::string_view text) { return text.size() <= kRemarkLimit && is_printable(text); }
bool some_remark(std::string_view text) { return some(text) && remark(text); }
bool statement_id(std::string_view text) {
  return text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                  c == '-';
         });
}
bool der_base64(std::string_view text) {
  return !text.empty() && base64_decode_canonical(text).has_value();
}
bool a_nonce(std::string_view text) { return nonce_units(text).has_value(); }

// The schema: what is written and what is read cannot part, since both walk here.
template <class Io, class R>
void who(Io& io, R& r) {
  io.number("uid", r.uid);
  io.number("gid", r.gid);
  io.number("pid", r.pid);
}

template <class Io, class R>
void sign_members(Io& io, R& r) {
  io.choice("verdict", r.verdict, kVerdicts);
  const bool allow = r.verdict == Verdict::allow;
  const Form needed = allow ? some : any;
  who(io, r);
  io.text("client", r.client, needed);
  io.text("op", r.op, any);
  io.text("key", r.key, needed);
  io.number("version", r.version);
  io.text("api_key_id", r.api_key_id, needed);
  io.text("endpoint", r.endpoint, needed);
  io.text("class", r.endpoint_class, any);
  io.text("payload_sha256", r.payload_sha256, allow ? hash : hash_or_none);
  io.fields("fields", r.fields);
  io.text("rule", r.rule, any);
  io.text("reference", r.reference, any);
  io.number("latency_us", r.latency_us);
  if (!allow) {
    io.text("code", r.code, word);
    io.text("sentence", r.sentence, any);
    return;
  }
  io.text("nonce", r.nonce, a_nonce);
  io.hex64("worker", r.worker);
  io.number("worker_counter", r.worker_counter);
  io.check("worker_counter", r.worker_counter != 0);
  io.text("signature_sha256", r.signature_sha256, hash);
  io.choice("durability", r.durability, kDurabilities);
}

template <class Io, class R>
void key_members(Io& io, R& r) {
  io.text("action", r.action, word);
  who(io, r);
  io.text("key", r.key, some);
  io.number("version", r.version);
  io.text("api_key_id", r.api_key_id, any);
  io.text("token", r.token, any);
  io.number("cka_id", r.cka_id);
}

template <class Io, class R>
void start_members(Io& io, R& r) {
  io.text("instance", r.instance, some);
  io.text("software", r.software, any);
  io.text("binary_sha256", r.binary_sha256, hash_or_none);
  io.text("config_sha256", r.config_sha256, hash_or_none);
  io.text("policy_sha256", r.policy_sha256, hash_or_none);
  io.number("cut_bytes", r.cut_bytes);
}

template <class Io, class R>
void stop_members(Io& io, R& r) {
  io.text("instance", r.instance, some);
  io.text("reason", r.reason, any);
}

template <class Io, class R>
void gap_members(Io& io, R& r) {
  io.hex64("worker", r.worker);
  io.number("from", r.from);
  io.number("to", r.to);
  io.check("to", r.from != 0 && r.from <= r.to);
  io.text("reason", r.reason, any);
}

template <class Io, class R>
void admin_members(Io& io, R& r) {
  io.text("action", r.action, word);
  who(io, r);
  io.text("subject", r.subject, some_remark);
  io.text("reason", r.reason, remark);
  io.text("statement", r.statement, statement_id);
  io.text("officers", r.officers, remark);
  io.text("text_sha256", r.text_sha256, hash_or_none);
  io.text("detail", r.detail, remark);
}

template <class Io, class R>
void usage_members(Io& io, R& r) {
  io.text("token", r.token, some);
  io.hex64("worker", r.worker);
  io.number("worker_counter", r.worker_counter);
  io.check("worker_counter", r.worker_counter != 0);
  io.text("digest", r.digest, hash);
  io.text("audit_key", r.audit_key, hash);
  io.text("signature", r.signature, der_base64);
}

template <class Io, class R>
void refusals_members(Io& io, R& r) {
  io.number("uid", r.uid);
  io.number("count", r.count);
  io.check("count", r.count != 0);
  io.time("since", r.since);
  io.fields("codes", r.fields);
}

template <class Io, class R>
void token_members(Io& io, R& r) {
  io.text("token", r.token, some);
  io.text("event", r.event, word);
  io.hex64("worker", r.worker);
  io.text("detail", r.detail, remark);
}

template <class Io, class R>
void record_members(Io& io, R& r) {
  io.constant("v", kSchemaVersion);
  io.number("seq", r.seq);
  io.check("seq", r.seq != 0);
  io.time("time", r.time);
  io.choice("kind", r.kind, kKinds);
  switch (r.kind) {
    case Kind::sign:
      sign_members(io, r);
      break;
    case Kind::key:
      key_members(io, r);
      break;
    case Kind::start:
      start_members(io, r);
      break;
    case Kind::stop:
      stop_members(io, r);
      break;
    case Kind::gap:
      gap_members(io, r);
      break;
    case Kind::admin:
      admin_members(io, r);
      break;
    case Kind::usage:
      usage_members(io, r);
      break;
    case Kind::refusals:
      refusals_members(io, r);
      break;
    case Kind::token:
      token_members(io, r);
      break;
  }
  io.end();
}

}  // namespace

Record Record::sign(uid_t uid, gid_t gid, pid_t pid) {
  Record record;
  record.uid = uid;
  record.gid = gid;
  record.pid = pid;
  return record;
}

Record Record::key_event(const Peer& who, std::string_view action, std::string_view key,
                         std::uint32_t version) {
  Record record = sign(who.uid, who.gid, who.pid);
  record.kind = Kind::key;
  record.action = action;
  record.key = key;
  record.version = version;
  return record;
}

Record Record::admin_event(const Peer& who, std::string_view action, std::string_view subject) {
  Record record = sign(who.uid, who.gid, who.pid);
  record.kind = Kind::admin;
  record.action = action;
  record.subject = subject;
  return record;
}

Record Record::start(std::string_view instance) {
  Record record;
  record.kind = Kind::start;
  record.instance = instance;
  return record;
}

Record Record::stop(std::string_view instance, std::string_view reason) {
  Record record = start(instance);
  record.kind = Kind::stop;
  record.reason = reason;
  return record;
}

Record Record::gap(std::uint64_t worker, std::uint64_t from, std::uint64_t to,
                   std::string_view reason) {
  Record record;
  record.kind = Kind::gap;
  record.worker = worker;
  record.from = from;
  record.to = to;
  record.reason = reason;
  return record;
}

Record Record::refusals(uid_t uid, std::uint64_t count, Clock::Wall since) {
  Record record;
  record.kind = Kind::refusals;
  record.uid = uid;
  record.count = count;
  record.since = since;
  return record;
}

Record Record::token_event(std::string_view token, std::string_view event, std::uint64_t worker,
                           std::string_view detail) {
  Record record;
  record.kind = Kind::token;
  record.token = token;
  record.event = event;
  record.worker = worker;
  record.detail = detail;
  return record;
}

Result<void> append_line(const Record& record, std::string& out) {
  const std::size_t before = out.size();
  Writer writer{out};
  record_members(writer, record);
  const std::size_t size = out.size() - before;
  if (writer.refused().empty() && size <= kLineLimit) return {};
  out.resize(before);
  if (!writer.refused().empty())
    return fail(Code::internal, "a malformed audit record",
                "member " + std::string{writer.refused()});
  return fail(Code::too_large, "an audit record is too long",
              std::to_string(size) + " bytes, limit " + std::to_string(kLineLimit));
}

Result<Record> parse_line(std::string_view line) {
  Record record;
  TRY_VOID(parse_line(line, record));
  return record;
}

Result<void> parse_line(std::string_view line, Record& record) {
  if (line.size() >= kLineLimit)
    return fail(Code::verification_failed, "not a record of this log: longer than any");
  Reader reader{line};
  record_members(reader, record);
  if (reader.fine()) return {};
  return fail(
      Code::verification_failed, "not a record of this log",
      "column " + std::to_string(reader.column()) + ", at " + std::string{reader.refused()});
}

bool is_printable(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto code = next_code_point(text, at);
    if (!code || is_control(*code)) return false;
  }
  return true;
}

bool burns(const Record& record) {
  return record.kind == Kind::sign && record.verdict == Verdict::allow && record.op == kPanicOp &&
         record.endpoint == kBurnEndpoint;
}

Result<Uint128> nonce_units(std::string_view nonce) {
  const std::size_t point = std::min(nonce.find('.'), nonce.size());
  const std::string_view whole = nonce.substr(0, point);
  const std::string_view fraction = nonce.substr(std::min(point + 1, nonce.size()));
  const bool shape = !whole.empty() && whole.size() <= 20 && fraction.size() <= 9 &&
                     fraction.empty() == (point == nonce.size()) &&
                     std::all_of(whole.begin(), whole.end(), is_digit) &&
                     std::all_of(fraction.begin(), fraction.end(), is_digit);
  if (!shape) return fail(Code::invalid_payload, "not a nonce");
  Uint128 units = 0;
  for (const char c : whole) units = units * 10 + static_cast<unsigned>(c - '0');
  for (std::size_t i = 0; i < 9; ++i)
    units = units * 10 + (i < fraction.size() ? static_cast<unsigned>(fraction[i] - '0') : 0U);
  return units;
}

}  // namespace hsm::audit
