// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Linters of Dockerfiles, images and clusters: hadolint, dockle, kube-bench.
// None of them says when it ran.

// fileLine says a file and a line, if there is one.
func fileLine(file string, line int) string {
	if line <= 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

// hadolint writes a list of messages, an empty one if it has none.
// Source: github.com/hadolint/hadolint/src/Hadolint/Formatter/Json.hs
func hadolintFormat() format {
	return format{
		name: "hadolint", kind: EvidenceCheck, emptyList: true,
		is: func(d *document) bool {
			return d.list && d.has("code", "level", "message") && mentions(d.members, "line") && mentions(d.members, "file")
		},
		read: readHadolint, wrap: wrapCheck,
	}
}

// hadolintUnparsed is the code for a file that hadolint could not read.
const hadolintUnparsed = "DL1000"

func readHadolint(d *document) (Evidence, error) {
	c := &Check{Scan: Scan{Tool: "hadolint"}}
	_, err := each("$", d.raw, func(at string, m struct {
		File, Level, Code, Message string
		Line                       int
	},
	) error {
		if m.Code == hadolintUnparsed {
			c.Nothing = keep(m.File) + " could not be parsed (DL1000), so it was not checked"
		}
		return c.add(func() string { return at }, Finding{
			Kind: FindingCheck, ID: m.Code, Title: m.Message, SaidSeverity: m.Level, Severity: levelSeverity(m.Level), Locations: []string{fileLine(m.File, m.Line)},
		})
	})
	return c.evidence(), err
}

// dockle writes a summary and the checks that did not pass.
// Source: github.com/goodwithtech/dockle/pkg/report/json.go
func dockleFormat() format {
	return format{
		name: "dockle", kind: EvidenceCheck,
		is: func(d *document) bool {
			return !d.list && d.kindOf("summary") == '{' && mentions(d.members, "details") && !mentions(d.members, "vulnerabilities")
		},
		read: readDockle, wrap: wrapCheck,
	}
}

func readDockle(d *document) (Evidence, error) {
	c := &Check{Scan: Scan{Tool: "dockle"}}
	var summary struct{ Fatal, Warn, Info, Skip, Pass *int }
	if err := d.into("summary", &summary); err != nil {
		return Evidence{}, err
	}
	if summary.Fatal == nil || summary.Warn == nil || summary.Pass == nil {
		return Evidence{}, unreadable("$.summary", "want the counts fatal, warn, info, skip and pass")
	}
	c.Passed = max(*summary.Pass, 0)
	if err := d.into("image", &c.Target); err != nil {
		return Evidence{}, err
	}
	c.Target = keep(c.Target)
	c.named([]string{digestIn(c.Target)})
	fatal := 0
	there, err := each("$.details", d.members["details"], func(at string, one struct {
		Code, Title, Level string
		Alerts             []string
	},
	) error {
		f := Finding{Kind: FindingCheck, ID: one.Code, Title: one.Title, SaidSeverity: one.Level, Severity: levelSeverity(one.Level), Locations: one.Alerts}
		switch one.Level {
		case "PASS":
			return nil
		case "SKIP":
			c.note("skipped: " + keep(one.Code))
			return nil
		case "IGNORE": // by .dockleignore, which also takes the level away
			f.Suppressed = &Suppression{By: "dockle", Reason: "ignored"}
		case "FATAL":
			fatal++
		}
		return c.add(func() string { return at }, f)
	})
	switch {
	case err != nil:
		return Evidence{}, err
	case !there && *summary.Fatal+*summary.Warn > 0:
		return Evidence{}, unreadable("$.details", "missing, and the summary counts findings")
	case fatal != *summary.Fatal:
		return Evidence{}, unreadable("$.summary.fatal", "%d, and the details have %d", *summary.Fatal, fatal)
	}
	if c.Passed == 0 && len(c.Findings) == 0 {
		c.Nothing = "no check was made"
	}
	return c.evidence(), nil
}

// kube-bench writes groups of checks, each with tests.
// Source: github.com/aquasecurity/kube-bench/check/controls.go
func kubebenchFormat() format {
	isControls := func(raw json.RawMessage) bool {
		var one []struct {
			NodeType *string         `json:"node_type"`
			Tests    json.RawMessage `json:"tests"`
		}
		return json.Unmarshal(raw, &one) == nil && len(one) > 0 && one[0].NodeType != nil && one[0].Tests != nil
	}
	return format{
		name: "kube-bench", kind: EvidenceCheck, emptyList: true,
		is: func(d *document) bool {
			return d.list && mentions(d.members, "node_type") && mentions(d.members, "tests") || !d.list && isControls(d.members["Controls"])
		},
		read: readKubeBench, wrap: wrapCheck,
	}
}

type kubebenchControls struct {
	Version string `json:"detected_version"`
	Tests   json.RawMessage
}

type kubebenchGroup struct{ Results json.RawMessage }

func readKubeBench(d *document) (Evidence, error) {
	c := &Check{Scan: Scan{Tool: "kube-bench"}}
	at, raw := "$", json.RawMessage(d.raw)
	if !d.list {
		at, raw = "$.Controls", d.members["Controls"]
	}
	tests := 0
	_, err := each(at, raw, func(at string, controls kubebenchControls) error {
		_, err := each(at+".tests", controls.Tests, func(at string, group kubebenchGroup) error {
			_, err := each(at+".results", group.Results, func(at string, one struct {
				Number string `json:"test_number"`
				Desc   string `json:"test_desc"`
				Status string
			},
			) error {
				tests++
				switch one.Status {
				case "PASS":
					c.Passed++
					return nil
				case "FAIL", "WARN", "INFO":
					return c.add(func() string { return at }, Finding{
						Kind: FindingMisconfiguration, ID: one.Number, Title: one.Desc, SaidSeverity: one.Status, Severity: levelSeverity(one.Status),
					})
				}
				return unreadable(at+".status", "%s, want PASS, FAIL, WARN or INFO", quote(one.Status))
			})
			return err
		})
		return err
	})
	if tests == 0 {
		c.Nothing = "no check was made"
	}
	return c.evidence(), err
}

// gitleaks writes a list of what it found, with the secrets: of each is kept
// where it is and by which rule it was found. It says nothing of severity, so
// that is unknown.
// Source: github.com/gitleaks/gitleaks/report/finding.go
func gitleaksFormat() format {
	return format{
		name: "gitleaks", kind: EvidenceCheck, emptyList: true,
		is: func(d *document) bool {
			return d.list && d.has("RuleID") && mentions(d.members, "File") && mentions(d.members, "StartLine")
		},
		read: readGitleaks, wrap: wrapCheck,
	}
}

func readGitleaks(d *document) (Evidence, error) {
	c := &Check{Scan: Scan{Tool: "gitleaks"}}
	_, err := each("$", d.raw, func(at string, one struct {
		RuleID, Description, File, Commit string
		StartLine                         int
	},
	) error {
		f := Finding{Kind: FindingSecret, ID: one.RuleID, Title: one.Description, Locations: []string{fileLine(one.File, one.StartLine)}}
		if one.Commit != "" {
			f.Locations = append(f.Locations, "commit "+strings.ToLower(one.Commit))
		}
		return c.add(func() string { return at }, f)
	})
	ev := c.evidence()
	ev.secret = true
	return ev, err
}
