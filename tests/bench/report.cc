#include "tests/bench/report.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <fstream>
#include <thread>

#include "hsm_signer/base/os.h"

namespace hsm::bench {
namespace {

constexpr Load kOne{.in_flight = 1, .workers = 1};

std::string cpu_model() {
  std::ifstream info{"/proc/cpuinfo"};
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string file_system_of(const std::string& directory) {
  constexpr long kTmpfs = 0x01021994, kExt = 0xEF53, kXfs = 0x58465342, kBtrfs = 0x9123683E,
                 kOverlay = 0x794C7630;  // statfs(2)
  struct statfs about {};
  if (::statfs(directory.c_str(), &about) != 0) return "unknown";
  switch (static_cast<long>(about.f_type)) {
    case kTmpfs:
      return "tmpfs (fsync costs nothing there: use --dir)";
    case kExt:
      return "ext2/3/4";
    case kXfs:
      return "xfs";
    case kBtrfs:
      return "btrfs";
    case kOverlay:
      return "overlay";
    default:
      return fmt::format("{:#x}", static_cast<unsigned long>(about.f_type));
  }
}

Spread over_rounds(const Row& row, Figure figure) {
  std::vector<double> values;
  for (const Figures& round : row.rounds) values.push_back(round.*figure);
  return spread_of(std::move(values));
}

std::string whole_number(double value) {
  const std::string digits = fmt::format("{:.0f}", value);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text.push_back(',');
    text.push_back(digits[i]);
  }
  return text;
}

std::string number(double value) {
  if (value == 0) return "–";  // Not measured, or nothing to compare with.
  if (value >= 1000) return whole_number(value);
  return value < 10 ? fmt::format("{:.2f}", value) : fmt::format("{:.1f}", value);
}

// An en dash is three bytes and one column.
std::string right(const std::string& text, std::size_t width) {
  const auto columns = static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  return std::string(width > columns ? width - columns : 0, ' ') + text;
}

struct Ratios {
  Spread p50_to_p11_kit, rate_to_p11_kit, p50_to_floor, rate_to_floor;
};

Ratios ratios_of(const Report& report, const Row& row) {
  const Row* p11_kit = find_row(report, kP11Kit, kOne);
  const Row* best = best_of_p11_kit(report);
  const Row* floor = find_row(report, kFloor, row.load);
  return {.p50_to_p11_kit = ratio(&row, p11_kit, &Figures::p50_us),
          .rate_to_p11_kit = ratio(&row, best, &Figures::per_second),
          .p50_to_floor = ratio(&row, floor, &Figures::p50_us),
          .rate_to_floor = ratio(&row, floor, &Figures::per_second)};
}

constexpr std::size_t kNameWidth = 28;
constexpr std::array<std::size_t, 11> kWidths{10, 8, 8, 16, 9, 11, 21, 9, 10, 9, 9};
using Cells = std::array<std::string, 1 + kWidths.size()>;

std::string table_line(const Cells& cells) {
  std::string line = cells[0] + std::string(kNameWidth - cells[0].size(), ' ');
  for (std::size_t i = 0; i < kWidths.size(); ++i) line += right(cells[i + 1], kWidths[i]);
  return line + "\n";
}

std::string table_line(const Report& report, const Row& row) {
  const Spread p50 = over_rounds(row, &Figures::p50_us), p99 = over_rounds(row, &Figures::p99_us),
               rate = over_rounds(row, &Figures::per_second);
  const Ratios ratios = ratios_of(report, row);
  return table_line(
      {row.contender, std::to_string(row.load.workers), std::to_string(row.load.in_flight),
       number(p50.median), number(p50.least) + "…" + number(p50.most), number(p99.median),
       whole_number(rate.median), whole_number(rate.least) + "…" + whole_number(rate.most),
       number(ratios.p50_to_p11_kit.median), number(ratios.rate_to_p11_kit.median),
       number(ratios.p50_to_floor.median), number(ratios.rate_to_floor.median)});
}

boost::json::object as_object(const Spread& spread) {
  return {{"median", spread.median}, {"least", spread.least}, {"most", spread.most}};
}

boost::json::object as_object(const Report& report, const Row& row) {
  boost::json::array rounds;
  for (const Figures& round : row.rounds)
    rounds.push_back(boost::json::object{{"p50_us", round.p50_us},
                                         {"p99_us", round.p99_us},
                                         {"per_second", round.per_second},
                                         {"samples", round.samples}});
  const Ratios ratios = ratios_of(report, row);
  return {{"contender", row.contender},
          {"workers", row.load.workers},
          {"in_flight", row.load.in_flight},
          {"p50_us", as_object(over_rounds(row, &Figures::p50_us))},
          {"p99_us", as_object(over_rounds(row, &Figures::p99_us))},
          {"per_second", as_object(over_rounds(row, &Figures::per_second))},
          {"p50_to_p11_kit", as_object(ratios.p50_to_p11_kit)},
          {"per_second_to_best_p11_kit", as_object(ratios.rate_to_p11_kit)},
          {"p50_to_floor", as_object(ratios.p50_to_floor)},
          {"per_second_to_floor", as_object(ratios.rate_to_floor)},
          {"rounds", std::move(rounds)}};
}

}  // namespace

double load_average() {
  double average = 0;
  return ::getloadavg(&average, 1) == 1 ? average : 0;
}

Machine look_at_machine(const std::string& directory) {
  return {.when = rfc3339(SystemClock{}.wall()).substr(0, 16) + "Z",
          .cpu = cpu_model(),
          .cores = std::thread::hardware_concurrency(),
          .file_system = file_system_of(directory),
          .load_before = load_average(),
          .load_after = 0};
}

Spread ratio(const Row* above, const Row* below, Figure figure) {
  if (above == nullptr || below == nullptr) return {};
  std::vector<double> values;
  for (std::size_t i = 0; i < std::min(above->rounds.size(), below->rounds.size()); ++i)
    values.push_back(above->rounds[i].*figure / below->rounds[i].*figure);
  return spread_of(std::move(values));
}

const Row* find_row(const Report& report, const std::string& contender, const Load& load) {
  for (const Row& row : report.rows) {
    if (row.contender == contender && row.load == load) return &row;
  }
  return nullptr;
}

const Row* best_of_p11_kit(const Report& report, Clients clients) {
  const Row* best = nullptr;
  double most = 0;
  for (const Row& row : report.rows) {
    const double rate = over_rounds(row, &Figures::per_second).median;
    if (row.contender != kP11Kit || rate <= most) continue;
    if (clients == Clients::one && row.load.workers != 1) continue;
    best = &row;
    most = rate;
  }
  return best;
}

std::vector<Aim> aims(const Report& report) {
  const Row* p11_kit = find_row(report, kP11Kit, kOne);
  const Row* signer = find_row(report, kSignerOs, kOne);
  if (p11_kit == nullptr || signer == nullptr) return {};
  std::vector<Aim> all{{.what = "hsm-signer os, 1 in flight: p50 to p11-kit's",
                        .limit = 0.8,
                        .at_most = true,
                        .measured = ratio(signer, p11_kit, &Figures::p50_us)}};
  for (const Clients clients : {Clients::one, Clients::any}) {
    for (const unsigned workers : {1U, 2U}) {
      const Row* full = find_row(report, kSignerOs, {.in_flight = 64, .workers = workers});
      all.push_back(
          {.what = fmt::format(
               "hsm-signer os, 64 in flight, {} worker{}: per second to "
               "the best of p11-kit with {}",
               workers, workers == 1 ? "" : "s",
               clients == Clients::one ? "one client process" : "any number of client processes"),
           .limit = 2,
           .at_most = false,
           .measured = ratio(full, best_of_p11_kit(report, clients), &Figures::per_second)});
    }
  }
  return all;
}

std::string as_table(const Report& report) {
  const Machine& machine = report.machine;
  const std::size_t rounds = report.rows.empty() ? 0 : report.rows[0].rounds.size();
  std::string text = fmt::format(
      "{}, {} cores, {}\nlog on {}; load {:.1f} before, {:.1f} after; no CPU pinning\n"
      "{} rounds of {} s each cell; every contender's MACs agree with OpenSSL's; {} bytes, key of "
      "{} bytes\n\n",
      machine.when, machine.cores, machine.cpu, machine.file_system, machine.load_before,
      machine.load_after, rounds, report.seconds, kMessageSize, kBenchKey.size());
  text += table_line(
      {"", "signing", "in", "p50", "", "p99", "per", "", "p50 to", "/s to", "p50 to", "/s to"});
  text += table_line({"", "processes", "flight", "µs", "least…most", "µs", "second", "least…most",
                      "p11-kit", "its best", "floor", "floor"});
  for (const Row& row : report.rows) text += table_line(report, row);
  text += "\n";
  for (const Aim& aim : aims(report))
    text += fmt::format("{}: {} ({}…{}), aim {} {}: {}\n", aim.what, number(aim.measured.median),
                        number(aim.measured.least), number(aim.measured.most),
                        aim.at_most ? "≤" : "≥", aim.limit, aim.met() ? "met" : "not met");
  return text;
}

std::string as_json(const Report& report) {
  const Machine& machine = report.machine;
  boost::json::array rows, all_aims;
  for (const Row& row : report.rows) rows.push_back(as_object(report, row));
  for (const Aim& aim : aims(report))
    all_aims.push_back(boost::json::object{{"what", aim.what},
                                           {"limit", aim.limit},
                                           {"at_most", aim.at_most},
                                           {"measured", as_object(aim.measured)},
                                           {"met", aim.met()}});
  const boost::json::object all{
      {"machine", boost::json::object{{"when", machine.when},
                                      {"cpu", machine.cpu},
                                      {"cores", machine.cores},
                                      {"file_system", machine.file_system},
                                      {"load_before", machine.load_before},
                                      {"load_after", machine.load_after}}},
      {"seconds", report.seconds},
      {"message_bytes", kMessageSize},
      {"rows", std::move(rows)},
      {"aims", std::move(all_aims)}};
  return boost::json::serialize(all) + "\n";
}

}  // namespace hsm::bench
