// Members of a canonical line, written and read: two classes with the same calls, so that one walk
// over the schema serves both. Inside the room.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hsm_signer/audit/json_text.h"
#include "hsm_signer/audit/record.h"
#include "hsm_signer/base/hash.h"

namespace hsm::audit {

// What a text member may hold.
using Form = bool (*)(std::string_view);

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }

// Worker ids are random 64-bit numbers: as JSON numbers, readers that hold doubles would round
// them.
std::string hex64_text(std::uint64_t value);
bool parse_hex64(std::string_view text, std::uint64_t& value);

// Of 64 hex digits, as a member's form has seen to.
Sha256 hash_of(std::string_view hex);

class Writer {
 public:
  explicit Writer(std::string& out) : out_{out} {}

  void constant(std::string_view member, std::uint64_t value) { number(member, value); }
  template <std::integral T>
  void number(std::string_view member, const T& value) {
    name(member);
    if (std::cmp_less(value, 0)) return refuse(member);
    std::array<char, 20> digits{};
    out_.append(digits.data(),
                std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
  }
  void text(std::string_view member, std::string_view value, Form form = nullptr);
  void time(std::string_view member, const Clock::Wall& value);
  void hex64(std::string_view member, std::uint64_t value) { text(member, hex64_text(value)); }
  template <class Table, class E>
  void choice(std::string_view member, const E& value, const Table& table) {
    text(member, spelled(table, value));
  }
  // An object, in the order given; a name twice is refused.
  void fields(std::string_view member, const std::vector<Field>& list);
  // Texts in brackets.
  void texts(std::string_view member, const std::vector<std::string>& list, std::size_t most,
             Form form);
  // Objects in brackets: each(writer, item) writes the members of one.
  template <class T, class Each>
  void list(std::string_view member, const std::vector<T>& items, std::size_t most,
            const Each& each) {
    name(member);
    if (items.size() > most) return refuse(member);
    out_.push_back('[');
    for (const T& item : items) {
      if (&item != &items.front()) out_.push_back(',');
      first_ = true;
      each(*this, item);
      out_.push_back('}');
    }
    out_.push_back(']');
    first_ = false;
  }
  void check(std::string_view member, bool holds) {
    if (!holds) refuse(member);
  }
  void end() { out_.append("}\n"); }

  // The first member that could not be written, or empty.
  std::string_view refused() const { return refused_; }

 private:
  void name(std::string_view member) {
    out_.append(first_ ? "{\"" : ",\"").append(member).append("\":");
    first_ = false;
  }
  void refuse(std::string_view member) {
    if (refused_.empty()) refused_ = member;
  }

  std::string& out_;
  bool first_ = true;
  std::string_view refused_;
};

// Takes what Writer writes and nothing else. After the first refusal every call does nothing.
class Reader {
 public:
  explicit Reader(std::string_view line) : line_{line} {}

  void constant(std::string_view member, std::uint64_t value) {
    std::uint64_t got = 0;
    number(member, got);
    check(member, got == value);
  }
  template <std::integral T>
  [[gnu::always_inline]] void number(std::string_view member, T& value) {
    std::uint64_t got = 0;
    if (!name(member) || !digits(member, got)) return;
    if (!std::in_range<T>(got)) return refuse(member);
    value = static_cast<T>(got);
  }
  [[gnu::always_inline]] void text(std::string_view member, std::string& value,
                                   Form form = nullptr) {
    if (!name(member)) return;
    const bool read = read_json_string(line_, at_, value);
    if (!read || (form != nullptr && !form(value))) refuse(member);
  }
  [[gnu::always_inline]] void time(std::string_view member, Clock::Wall& value) {
    if (name(member) && !time_behind_name(value)) refuse(member);
  }
  [[gnu::always_inline]] void hex64(std::string_view member, std::uint64_t& value) {
    if (!name(member)) return;
    const auto got = read_plain_string(line_, at_);
    if (!got || !parse_hex64(*got, value)) refuse(member);
  }
  template <class Table, class E>
  [[gnu::always_inline]] void choice(std::string_view member, E& value, const Table& table) {
    if (!name(member)) return;
    const auto got = read_plain_string(line_, at_);
    const auto known = got ? from_spelling(table, *got) : std::nullopt;
    if (!known) return refuse(member);
    value = *known;
  }
  void fields(std::string_view member, std::vector<Field>& list);
  void texts(std::string_view member, std::vector<std::string>& list, std::size_t most, Form form);
  template <class T, class Each>
  void list(std::string_view member, std::vector<T>& items, std::size_t most, const Each& each) {
    items.clear();
    if (!name(member)) return;
    if (!skip('[')) return refuse(member);
    while (!skip(']')) {
      if ((!items.empty() && !skip(',')) || items.size() == most) return refuse(member);
      first_ = true;
      each(*this, items.emplace_back());
      if (!skip('}')) return refuse(member);
    }
    first_ = false;
  }
  void check(std::string_view member, bool holds) {
    if (!holds) refuse(member);
  }
  void end() {
    if (!skip('}') || at_ != line_.size()) refuse("the end");
  }

  bool fine() const { return refused_.empty(); }
  // The first member that did not come as it should, or empty.
  std::string_view refused() const { return refused_; }
  std::size_t column() const { return at_ + 1; }

 private:
  // A line is mostly names: inlined, each is compared as a constant.
  [[gnu::always_inline]] bool name(std::string_view member) {
    if (!fine()) return false;
    const std::size_t size = member.size() + 4;  // {"member":
    const char* got = line_.data() + at_;
    const bool same = line_.size() - at_ >= size && got[0] == (first_ ? '{' : ',') &&
                      got[1] == '"' && std::memcmp(got + 2, member.data(), member.size()) == 0 &&
                      got[size - 2] == '"' && got[size - 1] == ':';
    if (!same) refuse(member);
    at_ += same ? size : 0;
    first_ = false;
    return same;
  }
  bool digits(std::string_view member, std::uint64_t& value);
  bool time_behind_name(Clock::Wall& value);
  bool skip(char c);
  void refuse(std::string_view member) {
    if (refused_.empty()) refused_ = member;
  }

  std::string_view line_;
  std::size_t at_ = 0;
  bool first_ = true;  // Member of its object.
  std::string_view refused_;
};

}  // namespace hsm::audit
