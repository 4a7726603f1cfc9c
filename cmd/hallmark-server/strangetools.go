// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"

	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

// warnAboutTools tells of tools that nobody here has heard of: a misspelt one
// keeps its gate shut, and looks like any other.
func warnAboutTools(ctx context.Context, logger *slog.Logger, p *policy.SigningPolicy) {
	for _, strange := range document.StrangeTools(p) {
		logger.WarnContext(ctx, "the signing policy names a tool that is not known", "about", strange)
	}
}
