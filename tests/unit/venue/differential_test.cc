// Whatever we accept, other parsers must read the same way: ours, nlohmann::json and python3's json
// are given the same generated and mutated payloads, and numbers are compared as text.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "hsm_signer/base/bytes.h"
#include "hsm_signer/venue/payload.h"

namespace hsm::venue {
namespace {

constexpr std::size_t kPayloads = 100'000;
constexpr unsigned kSeed = 20261123;
constexpr std::array<const char*, 6> kJudged{"request", "nonce", "symbol",
                                             "amount",  "price", "address"};

// What a parser read in the judged members: 's' and the text, 'n' and the raw number, or '-' and
// nothing.
using Reading = std::array<std::string, kJudged.size()>;

// ---- The payloads.

class Generator {
 public:
  explicit Generator(unsigned seed) : random_{seed} {}

  std::string next() {
    std::string text = payload();
    // Well over half stay as generated; the rest is broken in one to three places.
    if (roll(10) < 6) return text;
    for (std::size_t i = 0, count = 1 + roll(3); i < count; ++i) mutate(text);
    return text;
  }

 private:
  std::size_t roll(std::size_t sides) {
    return std::uniform_int_distribution<std::size_t>{0, sides - 1}(random_);
  }
  template <std::size_t N>
  std::string pick(const char* const (&choices)[N]) {
    return choices[roll(N)];
  }
  std::string digits(std::size_t count) {
    std::string text(1, static_cast<char>('1' + roll(9)));
    while (text.size() < count) text.push_back(static_cast<char>('0' + roll(10)));
    return text;
  }
  std::string space() { return roll(4) != 0 ? "" : pick({" ", "\n", "\t", "\r\n", "  "}); }

  std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (char c : text) {
      static constexpr char kHex[] = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x80 && roll(40) == 0)
        out.append("\\u00").append({kHex[byte >> 4], kHex[byte & 15]});
      else if (c == '/' && roll(20) == 0)
        out.append("\\/");
      else
        out.push_back(c);
    }
    return out + "\"";
  }
  std::string amount() {
    std::string text = digits(1 + roll(18));
    if (roll(2) == 0) text.append(".").append(digits(1 + roll(18)));
    if (roll(3) != 0) return "\"" + text + "\"";
    if (roll(4) == 0) text.append(pick({"e1", "E+2", "e-7", "e0", "e-18", "e99"}));
    return text;
  }
  std::string nonce() {
    std::string text = digits(1 + roll(20));
    if (roll(4) == 0) text.append(".").append(digits(1 + roll(9)));
    return roll(2) == 0 ? text : "\"" + text + "\"";
  }
  std::string anything(std::size_t depth) {
    switch (roll(depth > 3 ? 4 : 7)) {
      case 0:
        return pick({"true", "false", "null", "-1.5", "0", "-0", "1e5", "1E-20",
                     "12345678901234567890123456789"});
      case 1:
        return digits(1 + roll(25));
      case 2:
      case 3:
        return quoted(pick({"a", "", "\xC3\xA9", "\xF0\x9F\x98\x80", "x y", "/", "btc", "\x7F"}));
      case 4:
        return pick(
            {R"("\ud83d\ude00")", R"("\"\\\n\t\u0001")", R"("\u00e9\u20ac")", R"("\b\f\r\/")"});
      case 5:
        return "[" + space() + anything(depth + 1) + "," + anything(depth + 1) + space() + "]";
      default:
        return "{\"k\":" + anything(depth + 1) + ",\"l\"" + space() + ":" + anything(depth + 1) +
               "}";
    }
  }
  std::string path() {
    return pick({"/v1/order/new", "/v1/order/new", "/v1/withdraw/BTC", "/v2/withdraw/bitcoin/btc",
                 "/v1/balances", "/v1/mytrades", "/v1/order/cancel", "/v1/clearing/new",
                 "v1/staking/stake", "/v1/order/events"});
  }
  std::string payload() {
    std::vector<std::string> members{quoted("request") + space() + ":" + space() + quoted(path()),
                                     quoted("nonce") + ":" + space() + nonce()};
    const auto maybe = [&](const char* name, const std::string& value) {
      if (roll(3) != 0) members.push_back(quoted(name) + space() + ":" + space() + value);
    };
    maybe("symbol", quoted(pick({"btcusd", "ethusd", "BTCGUSDPERP"})));
    maybe("amount", amount());
    maybe("price", amount());
    maybe("address", quoted(pick({"bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
                                  "0x0F2B20Acb2fD7EEb", "r\xC3\xA9"})));
    if (roll(4) == 0) members.push_back(quoted(pick({"memo", "extra", "x"})) + ":" + anything(0));
    if (roll(8) == 0)
      members.push_back(quoted(pick({"options", "note"})) + ":" + R"(["maker-or-cancel"])");
    std::shuffle(members.begin(), members.end(), random_);
    std::string text = space() + "{" + space();
    for (std::size_t i = 0; i < members.size(); ++i)
      text.append(i == 0 ? "" : ",").append(space()).append(members[i]);
    return text + space() + "}" + space();
  }

  void mutate(std::string& text) {
    if (text.empty()) return;
    const std::size_t at = roll(text.size());
    switch (roll(9)) {
      case 0:
        text.erase(at, 1 + roll(4));
        return;
      case 1:
        text[at] = static_cast<char>(roll(256));
        return;
      case 2:
        text.insert(at, text.substr(roll(text.size()), 1 + roll(12)));
        return;
      case 3:
        text.append(pick({"x", "{}", ",", "//", " 1", "\xEF\xBB\xBF", "}", "\n\n", "[]", "null"}));
        return;
      case 4:  // One more member of a judged name, spelled in some way.
        return add_member(
            text, pick({"symbol", "Symbol", "s\\u0079mbol", "amount", "AMOUNT", "price", "request",
                        "nonce", "address", "Address", "\\u0061mount"}));
      case 5:
        text.insert(at, pick({"\\u0000", "\\ud83d", "\\ude00", "\\u0041", "\\", "\"", "'", "/**/",
                              "\xED\xA0\x80"}));
        return;
      case 6:
        text.insert(at, pick({"e400", "1e400", "0", "-", "+", ".", "e", "E5", "00", "NaN",
                              "Infinity", "99999999"}));
        return;
      case 7:
        text.insert(0, pick({"\xEF\xBB\xBF", " ", "[", "x", "\xFF\xFE", "//\n"}));
        return;
      default:
        text[at] = pick({"\"", "\\", ":", ",", "{", "}", "[", "]", "0", "\n", "A"})[0];
        return;
    }
  }
  void add_member(std::string& text, const std::string& name) {
    const std::size_t brace = text.rfind('}');
    if (brace == text.npos) return;
    const std::string value = roll(2) == 0 ? "\"9\"" : "7";
    text.insert(brace, ",\"" + name + "\":" + value);
  }

  std::mt19937 random_;
};

// ---- The readers.

std::optional<Reading> ours(const std::string& text) {
  const auto payload = Payload::parse_verbatim(text);
  if (!payload) return std::nullopt;
  Reading reading;
  for (std::size_t i = 0; i < kJudged.size(); ++i) {
    const auto value = payload->member(kJudged[i]);
    if (!value)
      reading[i] = "-";
    else if (value->kind == Kind::string || value->kind == Kind::number)
      reading[i] = (value->kind == Kind::string ? "s" : "n") + std::string{value->text};
    else
      reading[i] = "other";
  }
  return reading;
}

// nlohmann's SAX interface; of doubles it gives the raw text, of integers the value. A name said
// twice: the last one counts, as in most parsers.
class NlohmannReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  Reading reading;
  NlohmannReader() { reading.fill("-"); }

  bool null() override { return take("other"); }
  bool boolean(bool) override { return take("other"); }
  bool number_integer(number_integer_t value) override { return take("n" + std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    return take("n" + std::to_string(value));
  }
  bool number_float(number_float_t, const string_t& raw) override { return take("n" + raw); }
  bool string(string_t& value) override { return take("s" + value); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (depth_ == 1) name_ = name;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool open() {
    take("other");
    ++depth_;
    return true;
  }
  bool close() {
    --depth_;
    return true;
  }
  bool take(const std::string& value) {
    if (depth_ != 1) return true;
    for (std::size_t i = 0; i < kJudged.size(); ++i)
      if (name_ == kJudged[i]) reading[i] = value;
    return true;
  }
  std::size_t depth_ = 0;
  std::string name_;
};

std::optional<Reading> nlohmanns(const std::string& text) {
  NlohmannReader reader;
  if (!nlohmann::json::sax_parse(text, &reader)) return std::nullopt;
  return reader.reading;
}

// Reads one payload in hex per line, writes one line per payload: "refused" or the readings in hex.
constexpr const char* kPython = R"(
import json, sys
class Number(str): pass
def tell(members, name):
    found = [v for k, v in members if k == name]
    if not found: return '-'
    if isinstance(found[0], Number): return 'n' + found[0]
    return 's' + found[0] if isinstance(found[0], str) else 'other'
def refuse(text): raise ValueError(text)
out = open(sys.argv[2], 'w')
for line in open(sys.argv[1]):
    try:
        members = json.loads(bytes.fromhex(line.strip()).decode('utf-8'), object_pairs_hook=list,
                             parse_float=Number, parse_int=Number, parse_constant=refuse)
        out.write(' '.join(tell(members, n).encode('utf-8').hex() for n in sys.argv[3:]) + '\n')
    except Exception:
        out.write('refused\n')
)";

class TempDir {
 public:
  TempDir() {
    std::string name = ::testing::TempDir() + "differential-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    for (const char* file : {"/in", "/out"}) unlink((path_ + file).c_str());
    rmdir(path_.c_str());
  }
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

bool run_python(const std::string& in, const std::string& out) {
  const pid_t child = fork();
  if (child == 0) {
    std::vector<const char*> argv{"python3", "-c", kPython, in.c_str(), out.c_str()};
    argv.insert(argv.end(), kJudged.begin(), kJudged.end());
    argv.push_back(nullptr);
    execvp("python3", const_cast<char* const*>(argv.data()));
    _exit(127);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

std::optional<Reading> from_line(const std::string& line) {
  if (line == "refused") return std::nullopt;
  Reading reading;
  std::istringstream fields{line};
  for (std::string& value : reading) {
    std::string hex;
    fields >> hex;
    const auto bytes = hex_decode(hex);
    if (bytes) value = as_text(*bytes);
  }
  return reading;
}

std::vector<std::optional<Reading>> pythons(const std::vector<std::string>& texts) {
  const TempDir dir;
  {
    std::ofstream in{dir.file("in")};
    for (const std::string& text : texts) in << hex_encode(as_bytes(text)) << '\n';
  }
  std::vector<std::optional<Reading>> readings;
  if (!run_python(dir.file("in"), dir.file("out"))) return readings;
  std::ifstream out{dir.file("out")};
  for (std::string line; std::getline(out, line);) readings.push_back(from_line(line));
  return readings;
}

// ---- The comparison.

TEST(Differential, WhateverWeAcceptEveryParserReadsTheSame) {
  Generator generator{kSeed};
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < kPayloads; ++i) texts.push_back(generator.next());
  const auto by_python = pythons(texts);
  ASSERT_EQ(by_python.size(), texts.size()) << "python3 did not finish";

  std::size_t accepted = 0, looser_nlohmann = 0, looser_python = 0, differences = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto by_us = ours(texts[i]);
    const auto by_nlohmann = nlohmanns(texts[i]);
    if (!by_us) {
      looser_nlohmann += by_nlohmann.has_value() ? 1 : 0;
      looser_python += by_python[i].has_value() ? 1 : 0;
      continue;
    }
    ++accepted;
    const bool same = by_nlohmann == by_us && by_python[i] == by_us;
    if (same || ++differences > 10) continue;
    ADD_FAILURE() << "read in different ways (nlohmann "
                  << (by_nlohmann == by_us ? "agrees" : "differs") << ", python3 "
                  << (by_python[i] == by_us ? "agrees" : "differs") << "):\n"
                  << ::testing::PrintToString(texts[i]);
  }
  std::printf(
      "%zu of %zu payloads accepted, %zu read differently; refused here but read by nlohmann %zu, "
      "by python3 %zu\n",
      accepted, texts.size(), differences, looser_nlohmann, looser_python);
  EXPECT_EQ(differences, 0u);
  EXPECT_GE(accepted, kPayloads * 3 / 10);
  EXPECT_LT(accepted, kPayloads * 9 / 10) << "too little is broken";
}

}  // namespace
}  // namespace hsm::venue
