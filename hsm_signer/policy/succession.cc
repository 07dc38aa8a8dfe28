#include "hsm_signer/policy/succession.h"

#include <algorithm>

#include "hsm_signer/base/duration.h"

namespace hsm::policy {
namespace {

std::string text_of(const Rules& rules, const Rule& rule, const WindowLimit& window) {
  const std::string length = ", " + duration_text(window.per);
  switch (window.by) {
    case By::rule:
      return "rule \"" + rule.name + '"' + length;
    case By::client:
      return "client " + rules.clients()[rule.client].name.value + length;
    case By::key:
      return "key " +
             (rule.key.name.value.empty() ? "env:" + std::string{name(rule.key.environment)}
                                          : rule.key.name.value) +
             length;
    case By::symbol:
      return "symbol" + length;
  }
  return {};
}

std::vector<std::string> windows_of(const Rules& rules) {
  std::vector<std::string> texts;
  for (const Rule& rule : rules.rules())
    for (const WindowLimit& window : rule.conditions.windows)
      texts.push_back(text_of(rules, rule, window));
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return texts;
}

}  // namespace

std::vector<std::string> windows_begun(const Rules& before, const Rules& after) {
  const std::vector<std::string> old = windows_of(before);
  std::vector<std::string> begun = windows_of(after);
  std::erase_if(begun, [&](const std::string& text) {
    return std::binary_search(old.begin(), old.end(), text);
  });
  return begun;
}

}  // namespace hsm::policy
