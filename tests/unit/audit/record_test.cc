#include "hsm_signer/audit/record.h"

#include <functional>

#include "tests/support/error_is.h"
#include "tests/unit/audit/sample.h"

namespace hsm::audit {
namespace {

using ::testing::HasSubstr;

Record numbered(Record record, std::uint64_t seq = 7) {
  record.seq = seq;
  return record;
}

// Without the newline.
std::string line_of(const Record& record) {
  std::string line;
  const auto written = append_line(record, line);
  EXPECT_THAT(written, Succeeds());
  if (!line.empty()) line.pop_back();
  return line;
}

Record key_sample() {
  Record record = Record::key_event({.uid = 0, .gid = 0, .pid = 99}, "activate", "desk-a.trade", 3);
  record.time = start_record().time;
  record.api_key_id = "account-AbC123";
  record.token = "desk";
  record.cka_id = 17;
  return record;
}

Record gap_sample() {
  Record record = Record::gap(kWorker, 18, 20, "worker killed");
  record.time = start_record().time;
  return record;
}

Record admin_sample() {
  Record record = Record::admin_event({.uid = 0, .gid = 0, .pid = 99}, "thaw", "key:desk-a.trade");
  record.time = start_record().time;
  record.reason = "prices are right again";
  record.statement = "t-2025-11-23_1";
  record.officers = "alice,bob";
  record.detail = "was frozen";
  return record;
}

Record usage_sample() {
  Record record;
  record.kind = Kind::usage;
  record.time = start_record().time;
  record.token = "desk";
  record.worker = kWorker;
  record.worker_counter = 17;
  record.digest = allow_record(1, 1).payload_sha256;
  record.audit_key = allow_record(1, 1).signature_sha256;
  record.signature = "MAYCAQECAQE=";
  return record;
}

Record refusals_sample() {
  Record record = Record::refusals(1000, 41, start_record().time);
  record.time = start_record().time + std::chrono::seconds{10};
  record.fields = {{"denied", "40"}, {"rate_limited", "1"}};
  return record;
}

Record token_sample() {
  Record record = Record::token_event("desk", "worker_lost", kWorker, "it closed the connection");
  record.time = start_record().time;
  return record;
}

Record stop_sample() {
  Record record = Record::stop("5f0c2b9e", "SIGTERM");
  record.time = start_record().time;
  return record;
}

constexpr std::string_view kAllowLine =
    R"({"v":1,"seq":7,"time":"2025-11-23T19:15:02.123456Z","kind":"sign","verdict":"allow",)"
    R"("uid":1000,"gid":1001,"pid":4242,"client":"mm-bot","op":"sign_request",)"
    R"("key":"desk-a.trade","version":3,"api_key_id":"account-AbC123","endpoint":"/v1/order/new",)"
    R"("class":"trade",)"
    R"("payload_sha256":"239f59ed55e737c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5",)"
    R"("fields":{"symbol":"btcusd","amount":"0.5","price":"30000"},)"
    R"("rule":"market maker trades btc and eth","reference":"order-17","latency_us":612,)"
    R"("nonce":"1700000000001","worker":"00f3a19c44d2be71","worker_counter":5,)"
    R"("signature_sha256":"1a2fc26dc7ea5a2a4748b7cb2b1ef193d96ab2c99f93092f69e63075b28d1278",)"
    R"("durability":"os"})";

TEST(AuditRecord, WritesAnAllowedSignatureInTheDocumentedOrder) {
  EXPECT_EQ(line_of(numbered(allow_record(1'700'000'000'001, 5))), kAllowLine);
}

TEST(AuditRecord, WritesTheOtherKindsInTheDocumentedOrder) {
  EXPECT_EQ(
      line_of(numbered(key_sample())),
      R"({"v":1,"seq":7,"time":"2025-11-23T19:15:00.000000Z","kind":"key","action":"activate","uid":0,"gid":0,"pid":99,"key":"desk-a.trade","version":3,"api_key_id":"account-AbC123","token":"desk","cka_id":17})");
  EXPECT_EQ(
      line_of(numbered(stop_sample())),
      R"({"v":1,"seq":7,"time":"2025-11-23T19:15:00.000000Z","kind":"stop","instance":"5f0c2b9e","reason":"SIGTERM"})");
  EXPECT_EQ(
      line_of(numbered(gap_sample())),
      R"({"v":1,"seq":7,"time":"2025-11-23T19:15:00.000000Z","kind":"gap","worker":"00f3a19c44d2be71","from":18,"to":20,"reason":"worker killed"})");
  EXPECT_EQ(
      line_of(numbered(admin_sample())),
      R"({"v":1,"seq":7,"time":"2025-11-23T19:15:00.000000Z","kind":"admin","action":"thaw","uid":0,"gid":0,"pid":99,"subject":"key:desk-a.trade","reason":"prices are right again","statement":"t-2025-11-23_1","officers":"alice,bob","text_sha256":"","detail":"was frozen"})");
  EXPECT_THAT(
      line_of(numbered(start_record())),
      HasSubstr(R"("kind":"start","instance":"5f0c2b9e","software":"0.1.0","binary_sha256":")"));
  EXPECT_EQ(
      line_of(numbered(usage_sample())),
      R"({"v":1,"seq":7,"time":"2025-11-23T19:15:00.000000Z","kind":"usage","token":"desk","worker":"00f3a19c44d2be71","worker_counter":17,"digest":"239f59ed55e737c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5","audit_key":"1a2fc26dc7ea5a2a4748b7cb2b1ef193d96ab2c99f93092f69e63075b28d1278","signature":"MAYCAQECAQE="})");
  EXPECT_EQ(
      line_of(numbered(refusals_sample())),
      R"({"v":1,"seq":7,"time":"2025-11-23T19:15:10.000000Z","kind":"refusals","uid":1000,"count":41,"since":"2025-11-23T19:15:00.000000Z","codes":{"denied":"40","rate_limited":"1"}})");
  EXPECT_EQ(
      line_of(numbered(token_sample())),
      R"({"v":1,"seq":7,"time":"2025-11-23T19:15:00.000000Z","kind":"token","token":"desk","event":"worker_lost","worker":"00f3a19c44d2be71","detail":"it closed the connection"})");
  EXPECT_THAT(
      line_of(numbered(refuse_record())),
      HasSubstr(R"("rule":"","reference":"","latency_us":48,"code":"denied","sentence":")"));
}

TEST(AuditRecord, ReadsBackWhatItWrote) {
  for (const Record& record :
       {allow_record(1, 1), refuse_record(), key_sample(), start_record(), stop_sample(),
        gap_sample(), admin_sample(), usage_sample(), refusals_sample(), token_sample()}) {
    const Record before = numbered(record, 18'446'744'073'709'551'615U);
    const Result<Record> after = parse_line(line_of(before));
    ASSERT_THAT(after, Succeeds());
    EXPECT_EQ(*after, before);
  }
}

TEST(AuditRecord, ARefusalHasNeitherNonceNorSignature) {
  Record record = refuse_record();
  record.nonce = "17";
  record.signature_sha256 = allow_record(1, 1).signature_sha256;
  const std::string line = line_of(numbered(record));
  EXPECT_EQ(line.find("nonce"), std::string::npos);
  EXPECT_EQ(line.find("signature"), std::string::npos);
}

TEST(AuditRecord, EscapesWhatATerminalWouldObey) {
  Record record = refuse_record();
  record.sentence = std::string{"a\"b\\c\n\x1b[2J\x7f\xc2\x9b"} +
                    "\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x91" + std::string(1, '\0');
  const std::string line = line_of(numbered(record));
  EXPECT_THAT(line, HasSubstr("\"sentence\":\"a\\\"b\\\\c\\u000a\\u001b[2J\\u007f\\u009b"
                              "\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x91\\u0000\"}"));
  EXPECT_EQ(parse_line(line)->sentence, record.sentence);
}

struct Malformed {
  const char* member;
  std::function<void(Record&)> change;
};

TEST(AuditRecord, RefusesToWriteAMalformedAllow) {
  const std::vector<Malformed> cases{
      {"seq", [](Record& r) { r.seq = 0; }},
      {"time", [](Record& r) { r.time = Clock::Wall{} - std::chrono::seconds{1}; }},
      {"pid", [](Record& r) { r.pid = -1; }},
      {"client", [](Record& r) { r.client.clear(); }},
      {"key", [](Record& r) { r.key.clear(); }},
      {"api_key_id", [](Record& r) { r.api_key_id.clear(); }},
      {"endpoint", [](Record& r) { r.endpoint.clear(); }},
      {"payload_sha256", [](Record& r) { r.payload_sha256.clear(); }},
      {"payload_sha256", [](Record& r) { r.payload_sha256[0] = 'A'; }},
      {"payload_sha256", [](Record& r) { r.payload_sha256.pop_back(); }},
      {"fields",
       [](Record& r) {
         r.fields.push_back({"symbol", "ethusd"});
       }},
      {"fields",
       [](Record& r) {
         r.fields.push_back({"\xff", ""});
       }},
      {"fields",
       [](Record& r) {
         r.fields.push_back({"a", "\xff"});
       }},
      {"fields",
       [](Record& r) {
         r.fields.assign(kFieldsLimit + 1, {"a", "b"});
       }},
      {"rule", [](Record& r) { r.rule = "\xc0\x80"; }},
      {"rule", [](Record& r) { r.rule = "\xed\xa0\x80"; }},
      {"rule", [](Record& r) { r.rule = "\xf4\x90\x80\x80"; }},
      {"rule", [](Record& r) { r.rule = "\xe2\x82"; }},
      {"reference", [](Record& r) { r.reference = "\x80"; }},
      {"nonce", [](Record& r) { r.nonce.clear(); }},
      {"nonce", [](Record& r) { r.nonce = "1e3"; }},
      {"nonce", [](Record& r) { r.nonce = "-1"; }},
      {"worker_counter", [](Record& r) { r.worker_counter = 0; }},
      {"signature_sha256", [](Record& r) { r.signature_sha256.clear(); }},
      {"signature_sha256", [](Record& r) { r.signature_sha256 += "00"; }},
  };
  for (const Malformed& malformed : cases) {
    Record record = numbered(allow_record(1, 1));
    malformed.change(record);
    std::string out = "before";
    EXPECT_THAT(append_line(record, out),
                ErrorIs(Code::internal, HasSubstr(std::string{"member "} + malformed.member)));
    EXPECT_EQ(out, "before");
  }
}

TEST(AuditRecord, RefusesToWriteOtherMalformedKinds) {
  std::string out;
  Record refusal = numbered(refuse_record());
  refusal.code = "Not A Code";
  EXPECT_THAT(append_line(refusal, out), ErrorIs(Code::internal, HasSubstr("member code")));
  refusal = numbered(refuse_record());
  refusal.payload_sha256 = "17";
  EXPECT_THAT(append_line(refusal, out), ErrorIs(Code::internal, HasSubstr("payload_sha256")));
  Record key = numbered(key_sample());
  key.action.clear();
  EXPECT_THAT(append_line(key, out), ErrorIs(Code::internal, HasSubstr("member action")));
  Record start = numbered(start_record());
  start.policy_sha256 = "17";
  EXPECT_THAT(append_line(start, out), ErrorIs(Code::internal, HasSubstr("policy_sha256")));
  start = numbered(start_record());
  start.instance.clear();
  EXPECT_THAT(append_line(start, out), ErrorIs(Code::internal, HasSubstr("member instance")));
  for (const auto& [from, to] : {std::pair{0, 3}, std::pair{4, 3}}) {
    Record gap = numbered(gap_sample());
    gap.from = static_cast<std::uint64_t>(from);
    gap.to = static_cast<std::uint64_t>(to);
    EXPECT_THAT(append_line(gap, out), ErrorIs(Code::internal, HasSubstr("member to")));
  }
  EXPECT_EQ(out, "");
}

TEST(AuditRecord, RefusesToWriteMalformedUsageRefusalsAndTokenEvents) {
  struct Case {
    Record record;
    Malformed malformed;
  };
  const std::vector<Case> cases{
      {usage_sample(), {"token", [](Record& r) { r.token.clear(); }}},
      {usage_sample(), {"worker_counter", [](Record& r) { r.worker_counter = 0; }}},
      {usage_sample(), {"digest", [](Record& r) { r.digest.pop_back(); }}},
      {usage_sample(), {"audit_key", [](Record& r) { r.audit_key.clear(); }}},
      {usage_sample(), {"signature", [](Record& r) { r.signature.clear(); }}},
      {usage_sample(), {"signature", [](Record& r) { r.signature = "MAYCAQECAQF="; }}},
      {usage_sample(), {"signature", [](Record& r) { r.signature = "MAYC\n"; }}},
      {refusals_sample(), {"count", [](Record& r) { r.count = 0; }}},
      {refusals_sample(), {"since", [](Record& r) { r.since -= std::chrono::years{70}; }}},
      {refusals_sample(), {"codes", [](Record& r) { r.fields.push_back(r.fields[0]); }}},
      {token_sample(), {"token", [](Record& r) { r.token.clear(); }}},
      {token_sample(), {"event", [](Record& r) { r.event = "Lost"; }}},
      {token_sample(), {"detail", [](Record& r) { r.detail = "\x1b[2J"; }}},
  };
  for (const Case& one : cases) {
    Record record = numbered(one.record);
    one.malformed.change(record);
    std::string out;
    EXPECT_THAT(append_line(record, out),
                ErrorIs(Code::internal, HasSubstr(std::string{"member "} + one.malformed.member)));
    EXPECT_EQ(out, "");
  }
}

TEST(AuditRecord, RefusesToWriteAMalformedAdmin) {
  const std::vector<Malformed> cases{
      {"action", [](Record& r) { r.action.clear(); }},
      {"action", [](Record& r) { r.action = "Thaw"; }},
      {"action", [](Record& r) { r.action = std::string(33, 'a'); }},
      {"pid", [](Record& r) { r.pid = -1; }},
      {"subject", [](Record& r) { r.subject.clear(); }},
      {"subject", [](Record& r) { r.subject = "key:\n"; }},
      {"subject", [](Record& r) { r.subject.assign(kRemarkLimit + 1, 'x'); }},
      {"reason", [](Record& r) { r.reason = "\x1b[2J"; }},
      {"reason", [](Record& r) { r.reason = "\x7f"; }},
      {"reason", [](Record& r) { r.reason = "\xc2\x9b"; }},
      {"reason", [](Record& r) { r.reason = "\xff"; }},
      {"reason", [](Record& r) { r.reason = std::string(1, '\0'); }},
      {"reason", [](Record& r) { r.reason.assign(kRemarkLimit + 1, 'x'); }},
      {"statement", [](Record& r) { r.statement = "t 1"; }},
      {"statement", [](Record& r) { r.statement = "t.1"; }},
      {"statement", [](Record& r) { r.statement.assign(65, 't'); }},
      {"officers", [](Record& r) { r.officers = "alice\tbob"; }},
      {"text_sha256", [](Record& r) { r.text_sha256 = "17"; }},
      {"text_sha256", [](Record& r) { r.text_sha256 = std::string(64, 'A'); }},
      {"detail", [](Record& r) { r.detail = "a\rb"; }},
      {"detail", [](Record& r) { r.detail.assign(kRemarkLimit + 1, 'x'); }},
  };
  for (const Malformed& malformed : cases) {
    Record record = numbered(admin_sample());
    malformed.change(record);
    std::string out = "before";
    EXPECT_THAT(append_line(record, out),
                ErrorIs(Code::internal, HasSubstr(std::string{"member "} + malformed.member)));
    EXPECT_EQ(out, "before");
  }
}

TEST(AuditRecord, TakesAnAdminAtItsLimits) {
  Record record = numbered(admin_sample());
  record.action.assign(32, 'a');
  record.statement.assign(64, 'Z');
  record.text_sha256 = allow_record(1, 1).payload_sha256;
  for (std::string* text : {&record.subject, &record.reason, &record.officers, &record.detail})
    text->assign(kRemarkLimit, '"');
  EXPECT_EQ(*parse_line(line_of(record)), record);
  record.statement.clear();
  record.text_sha256.clear();
  record.reason = record.detail = record.officers = "";
  record.subject = "caf\xc3\xa9 \xe2\x82\xac";
  EXPECT_EQ(*parse_line(line_of(record)), record);
}

TEST(AuditRecord, RefusesALineOverTheLimitAndTakesOneJustUnder) {
  Record record = numbered(refuse_record());
  record.sentence.clear();
  const std::size_t rest = line_of(record).size() + 1;
  std::string out;
  record.sentence.assign(kLineLimit - rest, 'x');
  EXPECT_THAT(append_line(record, out), Succeeds());
  EXPECT_EQ(out.size(), kLineLimit);
  EXPECT_THAT(parse_line(std::string_view{out}.substr(0, out.size() - 1)), Succeeds());
  record.sentence.push_back('x');
  EXPECT_THAT(append_line(record, out), ErrorIs(Code::too_large));
  EXPECT_EQ(out.size(), kLineLimit);
}

struct Respelling {
  const char* from;
  const char* to;
};

TEST(AuditRecord, RefusesEveryOtherSpellingOfALine) {
  const std::vector<Respelling> cases{
      {R"({"v":1)", R"({"v":2)"},
      {R"({"v":1)", R"({ "v":1)"},
      {R"({"v":1)", R"({"v": 1)"},
      {R"({"v":1,"seq":7)", R"({"seq":7,"v":1)"},
      {R"("seq":7)", R"("seq":0)"},
      {R"("seq":7)", R"("seq":07)"},
      {R"("seq":7)", R"("seq":+7)"},
      {R"("seq":7)", R"("seq":7.0)"},
      {R"("seq":7)", R"("seq":7e0)"},
      {R"("seq":7)", R"("seq":"7")"},
      {R"("seq":7)", R"("seq":18446744073709551616)"},
      {R"("seq":7,)", R"("seq":7,"seq":7,)"},
      {R"(.123456Z)", R"(.123Z)"},
      {R"(.123456Z)", R"(.123456+00:00)"},
      {R"(2025-11-23T)", R"(2025-11-31T)"},
      {R"(2025-11-23T)", R"(2025-02-29T)"},
      {R"(2025-11-23T)", R"(2400-11-23T)"},
      {R"(T19:15:02)", R"( 19:15:02)"},
      {R"(T19:15:02)", R"(T24:15:02)"},
      {R"(T19:15:02)", R"(T19:15:60)"},
      {R"("kind":"sign")", R"("kind":"other")"},
      {R"("verdict":"allow")", R"("verdict":"Allow")"},
      {R"("verdict":"allow")", R"("verdict":"refuse")"},
      {R"("uid":1000)", R"("uid":4294967296)"},
      {R"("pid":4242)", R"("pid":2147483648)"},
      {R"("pid":4242)", R"("pid":-1)"},
      {R"("client":"mm-bot")", R"("client":"")"},
      {R"("client":"mm-bot")", R"("client":null)"},
      {R"("client":"mm-bot")", R"("client":"\u006dm-bot")"},
      {R"("client":"mm-bot")", R"("client":"mm\/bot")"},
      {R"("client":"mm-bot")", R"("client":"mm\nbot")"},
      {R"("client":"mm-bot")", R"("client":"mm\u000Abot")"},
      {R"("client":"mm-bot")", R"("client":"mm\u00e9")"},
      {R"("client":"mm-bot")", "\"client\":\"mm\tbot\""},
      {R"("client":"mm-bot")", "\"client\":\"mm\x7f\""},
      {R"("client":"mm-bot")", "\"client\":\"mm\xc2\x9b\""},
      {R"("client":"mm-bot")", "\"client\":\"mm\xc3\""},
      {R"("op":"sign_request",)", ""},
      {R"("payload_sha256":"239f)", R"("payload_sha256":"239F)"},
      {R"("symbol":"btcusd","amount")", R"("amount":"btcusd","amount")"},
      {R"("symbol":"btcusd",)", R"(,"symbol":"btcusd",)"},
      {R"("price":"30000"})", R"("price":"30000",})"},
      {R"("price":"30000"})", R"("price":30000})"},
      {R"("nonce":"1700000000001")", R"("nonce":1700000000001)"},
      {R"("worker":"00f3a19c44d2be71")", R"("worker":"f3a19c44d2be71")"},
      {R"("worker_counter":5)", R"("worker_counter":0)"},
      {R"("durability":"os"})", R"("durability":"os","more":1})"},
      {R"("durability":"os"})", R"("durability":"os"} )"},
      {R"("durability":"os"})", "\"durability\":\"os\"}\n"},
      {R"("durability":"os"})", R"("durability":"os"}{)"},
      {R"("durability":"os"})", R"("durability":"never"})"},
      {R"("durability":"os"})", R"("durability":"os")"},
  };
  const std::string line = line_of(numbered(allow_record(1'700'000'000'001, 5)));
  ASSERT_THAT(parse_line(line), Succeeds());
  for (const Respelling& respelling : cases) {
    std::string changed = line;
    const std::size_t at = changed.find(respelling.from);
    ASSERT_NE(at, std::string::npos) << respelling.from;
    changed.replace(at, std::string_view{respelling.from}.size(), respelling.to);
    EXPECT_THAT(parse_line(changed), ErrorIs(Code::verification_failed)) << respelling.to;
  }
}

TEST(AuditRecord, RefusesEveryBeginningOfALine) {
  const std::string line = line_of(numbered(allow_record(1, 1)));
  for (std::size_t size = 0; size < line.size(); ++size)
    EXPECT_THAT(parse_line(std::string_view{line}.substr(0, size)),
                ErrorIs(Code::verification_failed));
}

// Whatever a flipped bit makes of a line, it is refused or another record's one spelling.
TEST(AuditRecord, HasOneSpellingForEachRecord) {
  std::size_t refused = 0;
  for (const Record& record :
       {allow_record(1, 1), refuse_record(), key_sample(), gap_sample(), admin_sample()}) {
    const std::string line = line_of(numbered(record));
    for (std::size_t bit = 0; bit < line.size() * 8; ++bit) {
      std::string flipped = line;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      const Result<Record> parsed = parse_line(flipped);
      refused += parsed ? 0 : 1;
      EXPECT_TRUE(!parsed || line_of(*parsed) == flipped) << flipped;
    }
  }
  EXPECT_GT(refused, 5000U);
}

TEST(AuditRecord, ComparesNoncesOfAnyFormAsNumbers) {
  EXPECT_LT(*nonce_units("1700000000"), *nonce_units("1700000000.000000001"));
  EXPECT_LT(*nonce_units("1700000000.9"), *nonce_units("1700000001"));
  EXPECT_EQ(*nonce_units("17.5"), *nonce_units("017.500000000"));
  EXPECT_LT(*nonce_units("9"), *nonce_units("99999999999999999999.999999999"));
  for (const char* wrong : {"", ".", "1.", ".5", "1e3", "-1", "+1", " 1", "1 ", "0x1", "1.2.3",
                            "123456789012345678901", "1.1234567890"})
    EXPECT_THAT(nonce_units(wrong), ErrorIs(Code::invalid_payload)) << wrong;
}

}  // namespace
}  // namespace hsm::audit
