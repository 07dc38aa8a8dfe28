#include "hsm_signer/audit_tools/html.h"

#include <algorithm>

#include "hsm_signer/audit_tools/text.h"

namespace hsm::audit_tools {
namespace {

std::string_view entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

std::string_view attribute(Html::Of of) {
  switch (of) {
    case Html::Of::number:
      return " class=\"n\"";
    case Html::Of::word:
      return " class=\"w\"";
    case Html::Of::text:
      break;
  }
  return {};
}

}  // namespace

Html& Html::text(std::string_view text) {
  for (const char c : printable(text)) {
    const std::string_view as = entity(c);
    if (as.empty())
      out_.push_back(c);
    else
      out_ += as;
  }
  return *this;
}

Html& Html::number(std::uint64_t value) { return raw(grouped(value)); }

Html& Html::element(std::string_view tag, std::string_view content) {
  return raw("<").raw(tag).raw(">").text(content).raw("</").raw(tag).raw(">\n");
}

Html& Html::lines(std::string_view tag, std::string_view content) {
  raw("<").raw(tag).raw(">");
  while (!content.empty()) {
    const std::size_t end = std::min(content.find('\n'), content.size() - 1);
    text(content.substr(0, content[end] == '\n' ? end : end + 1)).raw("\n");
    content.remove_prefix(end + 1);
  }
  return raw("</").raw(tag).raw(">\n");
}

Html& Html::table(const std::vector<Column>& columns,
                  const std::vector<std::vector<std::string>>& rows) {
  raw("<div class=\"wide\"><table><thead><tr>");
  for (const Column& column : columns)
    raw("<th").raw(attribute(column.of)).raw(">").text(column.head).raw("</th>");
  raw("</tr></thead>\n<tbody>\n");
  for (const std::vector<std::string>& row : rows) {
    raw("<tr>");
    for (std::size_t i = 0; i < row.size(); ++i)
      raw("<td").raw(attribute(columns[i].of)).raw(">").text(row[i]).raw("</td>");
    raw("</tr>\n");
  }
  return raw("</tbody></table></div>\n");
}

std::string grouped(std::uint64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

}  // namespace hsm::audit_tools
