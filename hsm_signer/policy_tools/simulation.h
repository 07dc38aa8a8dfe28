// A policy asked on paper: no daemon, no key, no clock of its own. Its windows fill as they would.
#pragma once

#include <string>
#include <vector>

#include "hsm_signer/policy/policy.h"
#include "hsm_signer/policy_tools/question.h"

namespace hsm::policy {

struct Outcome {
  std::size_t line = 0;
  std::string what{};
  std::string client{};  // As the policy calls who asked; empty for a stranger.
  std::string key{};
  std::string endpoint{};     // Template; empty where the payload was refused before.
  std::uint32_t times = 1;    // How often it was asked, at most: the first refusal ends that.
  std::uint32_t allowed = 0;  // How often it was allowed.
  std::string verdict{};      // Of the last: "allow", or the code of the refusal.
  std::string rule{};
  std::string sentence{};
  std::string expect{};

  bool as_expected() const {
    return expect.empty() || expect == verdict || (expect == "deny" && verdict != "allow");
  }
};

class Simulation {
 public:
  // `rules` outlive this. Questions that name no time are asked at `start`.
  Simulation(const Rules& rules, Clock::Wall start) : rules_{rules}, start_{start} {}

  // Each at its time, which must not be before that of the question before. usage: no client of
  // that name, or a reference price that is out of form or differs from another of that instant.
  Result<Outcome> ask(const Question& question);
  // Every rule that is visited; counts nothing. The errors of ask(), and those of a payload that is
  // refused before any rule.
  Result<Explanation> explain(const Question& question);

 private:
  Result<Who> who_of(const Question& question) const;
  Result<Scene> scene_for(const Question& question);

  const Rules& rules_;
  Clock::Wall start_;
  Usage usage_;
  References references_;
};

// All of them in the order of their times, of one time in the order of the file. Errors begin with
// `file`:line.
Result<std::vector<Outcome>> simulate(const Rules& rules, std::vector<Question> questions,
                                      const std::string& file, Clock::Wall start);

}  // namespace hsm::policy
