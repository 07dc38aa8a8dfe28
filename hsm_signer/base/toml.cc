#include "hsm_signer/base/toml.h"

// toml++ 3.3 asserts, and with clang and NDEBUG assumes, that a key begins like one, before the
// line that refuses "[.a]" with a sentence. A mistake in a file is to reach that line in every
// build.
#undef NDEBUG
#define TOML_ASSERT(expr) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <set>

#include "hsm_signer/base/os.h"

namespace hsm {
namespace {

constexpr std::size_t kFileLimit = 1 << 20;

struct Document {
  std::string name;
  toml::table root;
};

std::string at(const Document& document, const toml::source_region& region) {
  return document.name + ":" + std::to_string(region.begin.line) + ":" +
         std::to_string(region.begin.column);
}

bool is_control_character(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool holds_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_control_character);
}

// What toml++ says repeats what it saw, newlines and all.
std::string in_one_line(std::string_view text) {
  std::string line{text};
  std::replace_if(line.begin(), line.end(), is_control_character, ' ');
  return line;
}

// The first key or string that holds a control character, or null. The kernel, the loader and
// getpwnam(3) read up to a NUL, so "root\u0000x" would be root; the others would disturb each line
// that repeats them.
const toml::source_region* control_character_in(const toml::table& root) {
  std::vector<const toml::node*> open{&root};  // A stack: dotted keys nest as deep as they like.
  while (!open.empty()) {
    const toml::node& node = *open.back();
    open.pop_back();
    if (const auto* text = node.as_string(); text != nullptr && holds_control_character(**text))
      return &node.source();
    if (const toml::array* array = node.as_array(); array != nullptr)
      for (const toml::node& item : *array) open.push_back(&item);
    if (const toml::table* table = node.as_table(); table != nullptr) {
      for (const auto& [key, value] : *table) {
        if (holds_control_character(key.str())) return &key.source();
        open.push_back(&value);
      }
    }
  }
  return nullptr;
}

}  // namespace

struct TomlTable::Impl {
  std::shared_ptr<const Document> document;
  const toml::table* table;
  std::set<std::string, std::less<>> known{};

  const toml::node* find(std::string_view key) {
    known.emplace(key);
    return table->get(key);
  }
};

TomlTable::TomlTable(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
TomlTable::TomlTable(TomlTable&&) noexcept = default;
TomlTable& TomlTable::operator=(TomlTable&&) noexcept = default;
TomlTable::~TomlTable() = default;

Result<TomlTable> TomlTable::load(const std::string& path) {
  TRY(const Bytes bytes, read_file(path, kFileLimit, Code::usage));
  return parse(as_text(bytes), path);
}

Result<TomlTable> TomlTable::parse(std::string_view text, std::string name) {
  toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::source_position position = parsed.error().source().begin;
    return fail(Code::usage, "",
                name + ":" + std::to_string(position.line) + ":" + std::to_string(position.column) +
                    ": " + in_one_line(parsed.error().description()));
  }
  auto document = std::make_shared<Document>(Document{std::move(name), std::move(parsed).table()});
  const toml::table* root = &document->root;
  if (const auto* where = control_character_in(*root); where != nullptr)
    return fail(Code::usage, "",
                at(*document, *where) + ": a control character in a key or string");
  return TomlTable{std::make_unique<Impl>(Impl{std::move(document), root})};
}

bool TomlTable::has(std::string_view key) const { return impl_->table->contains(key); }

std::string TomlTable::where(std::string_view key) const {
  const toml::node* node = key.empty() ? nullptr : impl_->table->get(key);
  return at(*impl_->document, node != nullptr ? node->source() : impl_->table->source());
}

tl::unexpected<Error> TomlTable::refuse(std::string_view key, std::string_view what,
                                        std::string detail) const {
  std::string text = where(key) + ": ";
  if (!key.empty()) text.append("\"").append(key).append("\": ");
  text.append(what);
  if (!detail.empty()) text.append(": ").append(detail);
  return fail(Code::usage, "", std::move(text));
}

Result<std::string> TomlTable::text(std::string_view key) {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return refuse({}, "missing key", std::string{key});
  if (!node->is_string()) return refuse(key, "must be a string");
  return node->as_string()->get();
}

Result<std::string> TomlTable::text_or(std::string_view key, std::string fallback) {
  if (impl_->find(key) == nullptr) return fallback;
  return text(key);
}

Result<std::int64_t> TomlTable::integer(std::string_view key, std::int64_t least,
                                        std::int64_t most) {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return refuse({}, "missing key", std::string{key});
  if (!node->is_integer()) return refuse(key, "must be an integer");
  const std::int64_t value = node->as_integer()->get();
  if (value < least || value > most)
    return refuse(key, "out of range", std::to_string(least) + " to " + std::to_string(most));
  return value;
}

Result<std::int64_t> TomlTable::integer_or(std::string_view key, std::int64_t fallback,
                                           std::int64_t least, std::int64_t most) {
  if (impl_->find(key) == nullptr) return fallback;
  return integer(key, least, most);
}

Result<bool> TomlTable::boolean_or(std::string_view key, bool fallback) {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return fallback;
  if (!node->is_boolean()) return refuse(key, "must be true or false");
  return node->as_boolean()->get();
}

Result<std::vector<std::string>> TomlTable::texts(std::string_view key) {
  std::vector<std::string> values;
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return values;
  if (!node->is_array()) return refuse(key, "must be an array of strings");
  for (const toml::node& item : *node->as_array()) {
    if (!item.is_string()) return refuse(key, "must be an array of strings");
    values.push_back(item.as_string()->get());
  }
  return values;
}

Result<std::optional<TomlTable>> TomlTable::table(std::string_view key) {
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return std::optional<TomlTable>{};
  if (!node->is_table()) return refuse(key, "must be a table");
  return std::optional<TomlTable>{
      TomlTable{std::make_unique<Impl>(Impl{impl_->document, node->as_table()})}};
}

Result<std::vector<TomlTable>> TomlTable::tables(std::string_view key) {
  std::vector<TomlTable> values;
  const toml::node* node = impl_->find(key);
  if (node == nullptr) return values;
  if (!node->is_array()) return refuse(key, "must be an array of tables");
  for (const toml::node& item : *node->as_array()) {
    if (!item.is_table()) return refuse(key, "must be an array of tables");
    values.push_back(TomlTable{std::make_unique<Impl>(Impl{impl_->document, item.as_table()})});
  }
  return values;
}

std::vector<std::string> TomlTable::keys() const {
  std::vector<std::pair<toml::source_position, std::string>> found;
  for (const auto& [key, node] : *impl_->table)
    found.emplace_back(key.source().begin, std::string{key.str()});
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (auto& [position, key] : found) names.push_back(std::move(key));
  return names;
}

Result<void> TomlTable::finish() {
  for (const std::string& key : keys()) {
    if (impl_->known.contains(key)) continue;
    // Of the key, not of its value: that is where the typing error stands.
    const auto found = impl_->table->find(key);
    return fail(Code::usage, "",
                at(*impl_->document, found->first.source()) + ": \"" + key + "\": unknown key");
  }
  return {};
}

}  // namespace hsm
