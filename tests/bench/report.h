// What was measured, for people and for scripts.
#pragma once

#include <string>
#include <vector>

#include "tests/bench/contender.h"

namespace hsm::bench {

// One contender under one load: a figure for each round.
struct Row {
  std::string contender;
  Load load;
  std::vector<Figures> rounds;
};

struct Machine {
  std::string when;
  std::string cpu;
  unsigned cores = 0;
  std::string file_system;  // Where hsm-signer writes its log.
  double load_before = 0;   // Of the last minute, as uptime(1) says it.
  double load_after = 0;
};
Machine look_at_machine(const std::string& directory);
double load_average();

struct Report {
  Machine machine;
  double seconds = 0;  // Each cell, each round.
  std::vector<Row> rows;
};

// A ratio of two rows is taken within each round, so that what slowed the machine down for a while
// slowed down both. All 0 where one of them was not measured.
using Figure = double Figures::*;
Spread ratio(const Row* above, const Row* below, Figure figure);
const Row* find_row(const Report& report, const std::string& contender, const Load& load);
// Where p11-kit signs most: with any number of client processes, or within one, as a trading
// program is one.
enum class Clients : bool { any, one };
const Row* best_of_p11_kit(const Report& report, Clients clients = Clients::any);

// What hsm-signer is to reach beside p11-kit.
struct Aim {
  std::string what;
  double limit = 0;
  bool at_most = false;
  Spread measured;
  bool met() const { return at_most ? measured.median <= limit : measured.median >= limit; }
};
// Empty where p11-kit or hsm-signer was not measured.
std::vector<Aim> aims(const Report& report);

std::string as_table(const Report& report);
std::string as_json(const Report& report);

}  // namespace hsm::bench
