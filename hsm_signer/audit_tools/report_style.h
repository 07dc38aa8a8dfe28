// report.css as it stands in a report; made when the build is configured.
#pragma once

#include <string_view>

namespace hsm::audit_tools {

std::string_view report_style();

}  // namespace hsm::audit_tools
