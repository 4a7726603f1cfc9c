// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/internal/near"
)

// Programs that are known, by what their reports are about. A report without
// findings has nothing else to go by: who made it says what was looked for.

// The kinds of reports that programs always make, in the words of policies.
const (
	reportLint    = "lint"
	reportConfig  = "config"
	reportSecrets = "secrets"
	reportCode    = "code"
	// packages is a scan of packages for vulnerabilities.
	reportPackages = "packages"
)

// programs are those whose name is this, or begins with these words. Those with
// more words come first: what a maker's program for packages is called is often
// the beginning of what the others are called. To add a program, add it here.
var programs = []struct{ name, report string }{
	{"snyk-code", reportCode}, {"snykcode", reportCode}, {"snyk-iac", reportConfig}, {"snyk-infrastructure", reportConfig},
	{"snyk", reportPackages}, {"trivy", reportPackages}, {"grype", reportPackages}, {"clair", reportPackages}, {"osv-scanner", reportPackages},
	{"anchore", reportPackages}, {"anchorectl", reportPackages}, {"docker-scout", reportPackages}, {"jfrog-xray", reportPackages}, {"dependency-check", reportPackages},
	{"govulncheck", reportPackages},
	{"hadolint", reportLint}, {"dockle", reportLint}, {"kube-linter", reportLint},
	{"checkov", reportConfig}, {"kube-bench", reportConfig}, {"kubescape", reportConfig}, {"tfsec", reportConfig}, {"kics", reportConfig},
	{"gitleaks", reportSecrets}, {"trufflehog", reportSecrets}, {"detect-secrets", reportSecrets}, {"gitguardian", reportSecrets},
	{"ggshield", reportSecrets}, {"kingfisher", reportSecrets}, {"nosey", reportSecrets},
}

// reportOf is the kind of report that a program makes, or "".
func reportOf(tool string) string {
	for _, p := range programs {
		if rest, ok := strings.CutPrefix(tool, p.name); ok && (rest == "" || rest[0] == '-') {
			return p.report
		}
	}
	return ""
}

// programsFor are the names of those that look for something.
func programsFor(report string) []string {
	var names []string
	for _, p := range programs {
		if p.report == report {
			names = append(names, p.name)
		}
	}
	return names
}

// Report is the kind of report that the program always makes when it does not
// look for vulnerabilities of packages, whatever it has found: lint, config,
// secrets or code. It is "" for a program that is not known, and for one that
// does several things: what it has found says then what it is about.
func (s *Scan) Report() string {
	if report := reportOf(s.Tool); report != reportPackages {
		return report
	}
	return ""
}

// toolName is what a program is called here, so that a rule can name it: the
// name that it gives itself in lower case, with a dash for all that is no letter
// or digit ("Docker Scout" is docker-scout).
func toolName(said string) string {
	words := strings.FieldsFunc(strings.ToLower(said), func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
	name := strings.Join(words, "-")
	if name == "" { // in another script
		return keepTrimmed(strings.ToLower(said), maxText)
	}
	return strings.TrimRight(name[:min(len(name), maxTool)], "-")
}

// maxTool bounds a program's name, bytes: policies name no longer ones.
const maxTool = 63

// isScanner tells whether a program looks for vulnerabilities of packages.
func isScanner(tool string) bool { return reportOf(tool) == reportPackages }

// scanners are the programs that do, for messages.
func scanners() string {
	names := programsFor(reportPackages)
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// selfNamed are names that this package gives programs by their format, or that
// formats name and whose reports are about several things.
var selfNamed = []string{"gitlab", "cyclonedx", "in-toto", "codeql", "semgrep", "opengrep", "bandit", "gosec", "brakeman", "eslint", "terrascan", "conftest", "kubesec", "polaris", "scancode", "fossa", "blackduck", "veracode", "sonarqube", "dependabot", "npm-audit", "syft"}

// KnownTool reports whether a program's name is one that is known here, and if
// not, which known one is near.
func KnownTool(name string) (known bool, nearest string) {
	names := slices.Clone(selfNamed)
	for _, p := range programs {
		names = append(names, p.name)
	}
	if reportOf(name) != "" || slices.Contains(names, name) {
		return true, ""
	}
	return false, near.Word(name, names)
}
