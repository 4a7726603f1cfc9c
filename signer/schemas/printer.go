// SPDX-License-Identifier: Apache-2.0

package schemas

import (
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// printer writes what the library says of a place.
var printer = message.NewPrinter(language.English)
