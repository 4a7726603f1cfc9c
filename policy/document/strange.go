// SPDX-License-Identifier: Apache-2.0

package document

import (
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
)

// StrangeTools says which programs a policy names that nobody here has heard of,
// in words, with what may have been meant. It is no error: SARIF and others say
// for themselves who made them.
func StrangeTools(p *policy.SigningPolicy) []string {
	var all []string
	for _, tool := range p.Tools() {
		known, near := attest.KnownTool(tool.Name)
		if known {
			continue
		}
		hint := "the name that the tool's own reports give it"
		if near != "" {
			hint = near + "?"
		}
		all = append(all, fmt.Sprintf("rule %q asks for a %s report of %q, a tool that is not known here: its gate opens only for reports that call themselves so (hint: %s)", tool.Rule, tool.Kind, tool.Name, hint))
	}
	return all
}
