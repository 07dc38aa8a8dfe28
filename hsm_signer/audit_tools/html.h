// HTML as it is written: what others wrote goes through text(), which leaves no markup in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hsm::audit_tools {

class Html {
 public:
  // Ours; a literal.
  Html& raw(std::string_view markup) {
    out_ += markup;
    return *this;
  }
  // Anybody's: & < > " ' as entities, printable() before.
  Html& text(std::string_view text);
  Html& number(std::uint64_t value);

  // "<h2>…</h2>" and the like; `tag` is ours.
  Html& element(std::string_view tag, std::string_view content);
  // The same for several lines, kept apart.
  Html& lines(std::string_view tag, std::string_view content);
  // Numbers stand right, words (and times) on one line. Rows of unlike length are a mistake of the
  // caller's.
  enum class Of : std::uint8_t { text, number, word };
  struct Column {
    std::string_view head;
    Of of = Of::text;
  };
  Html& table(const std::vector<Column>& columns,
              const std::vector<std::vector<std::string>>& rows);

  const std::string& done() const { return out_; }

 private:
  std::string out_;
};

// "1,234,567"
std::string grouped(std::uint64_t value);

}  // namespace hsm::audit_tools
