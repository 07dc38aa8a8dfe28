#include "tests/fault_module/plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "hsm_signer/token/ckr_names.h"

namespace hsm::test::fault {
namespace {

using Effect = Rule::Effect;
using Trigger = Rule::Trigger;
using Words = std::vector<std::string>;

struct EffectName {
  std::string_view word;
  Effect effect;
  std::size_t numbers;
};
constexpr std::array kEffects{
    EffectName{"delay", Effect::delay, 2},     EffectName{"hang", Effect::hang, 0},
    EffectName{"segv", Effect::segv, 0},       EffectName{"abort", Effect::abort, 0},
    EffectName{"exit", Effect::exit, 0},       EffectName{"scribble", Effect::scribble, 1},
    EffectName{"short", Effect::short_mac, 0}, EffectName{"flip", Effect::flip, 0},
    EffectName{"overrun", Effect::overrun, 1}, EffectName{"logout", Effect::logout, 0},
    EffectName{"remove", Effect::remove, 1},
};

#define HSM_FAULT_NAME(name) std::string_view{#name},
constexpr std::array kHooked{HSM_FAULT_HOOKED(HSM_FAULT_NAME)};
#undef HSM_FAULT_NAME

bool is_hooked(std::string_view call) {
  return call == "*" || std::find(kHooked.begin(), kHooked.end(), call) != kHooked.end();
}

std::string joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::optional<std::uint64_t> number(std::string_view word) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::optional<CK_RV> ckr(std::string_view word) {
  for (CK_RV rv = 0; rv < 0x300; ++rv) {
    if (!word.empty() && token::standard_ckr_name(rv) == word) return rv;
  }
  return std::nullopt;
}

bool read_trigger(const std::string& word, const std::string& count, Rule& rule) {
  if (word == "at")
    rule.trigger = Trigger::at;
  else if (word == "from")
    rule.trigger = Trigger::from;
  else if (word == "one-in")
    rule.trigger = Trigger::one_in;
  else
    return false;
  const auto n = number(count);
  rule.n = n.value_or(0);
  return rule.n > 0;
}

bool read_effect(const Words& words, Rule& rule) {
  if (words.size() == 2 && words[0] == "rv") {
    const auto rv = ckr(words[1]);
    rule.effect = Effect::rv;
    rule.first = rv.value_or(0);
    return rv.has_value();
  }
  for (const EffectName& known : kEffects) {
    if (words.empty() || words[0] != known.word) continue;
    if (words.size() != known.numbers + 1) return false;
    rule.effect = known.effect;
    for (std::size_t i = 0; i < known.numbers; ++i) {
      const auto value = number(words[i + 1]);
      if (!value) return false;
      (i == 0 ? rule.first : rule.second) = *value;
    }
    return rule.effect != Effect::delay || rule.first <= rule.second;
  }
  return false;
}

bool read_rule(Words words, Rule& rule) {
  rule.text = joined(words);
  if (words.size() > 2 && words[0] == "rank") {
    rule.rank = number(words[1]);
    if (!rule.rank) return false;
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.size() < 4 || !is_hooked(words[0])) return false;
  rule.call = words[0];
  return read_trigger(words[1], words[2], rule) &&
         read_effect({words.begin() + 3, words.end()}, rule) &&
         (rule.call == "C_Sign" || !spoils_a_mac(rule.effect));
}

bool read_line(const Words& words, Plan& plan) {
  if (words.size() == 2 && words[0] == "seed") {
    const auto seed = number(words[1]);
    plan.seed = seed.value_or(1);
    return seed.has_value();
  }
  if (words.size() == 2 && words[0] == "withhold") {
    plan.withheld = words[1];
    return true;
  }
  if (words.size() == 3 && words[0] == "limit") {
    const auto value = number(words[2]);
    if (words[1] == "sessions")
      plan.sessions = value;
    else if (words[1] == "idle")
      plan.idle_ms = value;
    else
      return false;
    return value.has_value();
  }
  return read_rule(words, plan.rules.emplace_back());
}

}  // namespace

bool spoils_a_mac(Effect effect) {
  return effect == Effect::short_mac || effect == Effect::flip || effect == Effect::overrun;
}

Plan::Parsed Plan::parse(std::string_view text) {
  Parsed parsed;
  std::istringstream lines{std::string{text}};
  std::size_t at = 0;
  for (std::string line; std::getline(lines, line);) {
    ++at;
    std::istringstream stream{line.substr(0, line.find('#'))};
    Words words;
    for (std::string word; stream >> word;) words.push_back(word);
    if (words.empty() || read_line(words, parsed.plan)) continue;
    parsed.error = "line " + std::to_string(at) + " is no rule: " + line;
    break;
  }
  return parsed;
}

std::vector<const Rule*> Triggers::due(std::string_view call) {
  const std::uint64_t of_call = ++calls_[std::string{call}];
  ++all_calls_;
  std::vector<const Rule*> struck;
  for (const Rule& rule : plan_.rules) {
    if (rule.rank && *rule.rank != rank_) continue;
    if (rule.call != "*" && rule.call != call) continue;
    const std::uint64_t count = rule.call == "*" ? all_calls_ : of_call;
    const bool strikes = rule.trigger == Trigger::at     ? count == rule.n
                         : rule.trigger == Trigger::from ? count >= rule.n
                                                         : between(1, rule.n) == 1;
    if (strikes) struck.push_back(&rule);
  }
  return struck;
}

}  // namespace hsm::test::fault
