// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"strings"
)

// Grype's JSON report. Missing matches are a broken report, not a clean one.
// What Grype's own rules ignore stands apart, in ignoredMatches: a tool's
// ignore file excuses nothing, so these findings count.
// Source: github.com/anchore/grype/grype/presenter/models

func grypeFormat() format {
	return format{
		name: "grype", kind: EvidenceScan, types: []string{cosignVulnType}, media: "application/vnd.anchore.grype+json",
		is: func(d *document) bool {
			var tool struct{ Name string }
			return !d.list && json.Unmarshal(d.members["descriptor"], &tool) == nil && tool.Name == "grype"
		},
		read: readGrype, wrap: wrapScan,
	}
}

type grypeDescriptor struct {
	Version   string `json:"version"`
	Timestamp string `json:"timestamp"`
	DB        struct {
		Built  string `json:"built"` // schema up to 5
		Status struct{ Built string }
	}
	Configuration struct {
		OnlyFixed    bool `json:"only-fixed"`
		OnlyNotFixed bool `json:"only-notfixed"`
	} `json:"configuration"`
}

func readGrype(d *document) (Evidence, error) {
	var tool grypeDescriptor
	if err := d.into("descriptor", &tool); err != nil {
		return Evidence{}, err
	}
	s := &Scan{Tool: "grype", ToolVersion: keep(tool.Version)}
	var err error
	if s.FinishedAt, err = timeAt("$.descriptor.timestamp", tool.Timestamp); err != nil {
		return Evidence{}, err
	}
	built := tool.DB.Built
	if built == "" {
		built = tool.DB.Status.Built
	}
	if s.DatabaseAt, err = timeAt("$.descriptor.db.built", built); err != nil {
		return Evidence{}, err
	}
	if tool.Configuration.OnlyFixed {
		s.note("the report leaves out what has no fix (only-fixed)")
	}
	if tool.Configuration.OnlyNotFixed {
		s.note("the report leaves out what has a fix (only-notfixed)")
	}
	var source struct {
		Target json.RawMessage // an object for images, a text for folders
	}
	if err := d.into("source", &source); err != nil {
		return Evidence{}, err
	}
	// Only what the registry calls the image counts: one that comes from a daemon
	// has a manifest digest that was computed.
	var target struct {
		RepoDigests []string
		UserInput   string
	}
	_ = json.Unmarshal(source.Target, &target) // only an image has any
	s.Target = keep(target.UserInput)
	s.named(digestsAmong(target.RepoDigests))
	r := d.reader("matches")
	there, err := r.list(func() error { return readGrypeMatch(r, s, false) })
	if err == nil && !there {
		err = unreadable("$.matches", "missing: the report has no result")
	}
	if err != nil {
		return Evidence{}, err
	}
	r = d.reader("ignoredMatches")
	if _, err = r.list(func() error {
		s.note("the report shows findings that grype was told to ignore: they count")
		return readGrypeMatch(r, s, true)
	}); err != nil {
		return Evidence{}, err
	}
	if err = readGrypeAlerts(d.reader("alertsByPackage"), s); err != nil {
		return Evidence{}, err
	}
	return Evidence{Scan: s}, nil
}

// readGrypeAlerts notes what Grype says beside its matches: that a distribution
// is out of support, so that what is not fixed may not be listed.
func readGrypeAlerts(r *jsonReader, s *Scan) error {
	const limit = 8 // kinds; each is said once, however many packages it is about
	_, err := r.list(func() error {
		return r.object(func(name []byte) error {
			if string(name) != "alerts" {
				return nil
			}
			_, err := r.list(func() error {
				var kind string
				err := r.object(func(name []byte) error {
					if string(name) == "type" {
						return r.string(&kind)
					}
					return nil
				})
				if kind != "" && len(s.Notes) < limit {
					s.note("grype warns of packages: " + oneLine(kind))
				}
				return err
			})
			return err
		})
	})
	return err
}

var grypeStates = map[string]string{"fixed": FixFixed, "not-fixed": FixNotFixed, "wont-fix": FixWontFix}

func readGrypeMatch(r *jsonReader, s *Scan, ignored bool) error {
	f := Finding{}
	var reasons []string
	err := r.element(func(name []byte) error {
		switch string(name) {
		case "vulnerability":
			return readGrypeVulnerability(r, &f)
		case "relatedVulnerabilities":
			_, err := r.list(func() error { return readGrypeRelated(r, &f) })
			return err
		case "artifact":
			return readGrypeArtifact(r, &f)
		case "appliedIgnoreRules":
			_, err := r.list(func() error { return readGrypeRule(r, &reasons) })
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.Severity = NormalSeverity(f.SaidSeverity)
	if f.FixState = grypeStates[f.FixState]; f.FixState != FixFixed {
		f.FixedVersions = nil
	}
	if ignored {
		f.Suppressed = &Suppression{By: "grype", Reason: keep(strings.Join(reasons, "; "))}
	}
	return s.add(r.place, f)
}

func readGrypeVulnerability(r *jsonReader, f *Finding) error {
	return r.object(func(name []byte) error {
		switch string(name) {
		case "id":
			return r.string(&f.ID)
		case "severity":
			return r.string(&f.SaidSeverity)
		case "namespace":
			return r.string(&f.Source)
		case "cvss":
			_, err := r.list(func() error { return readGrypeCVSS(r, f) })
			return err
		case "fix":
			return r.object(func(name []byte) error {
				switch string(name) {
				case "versions":
					return r.texts(&f.FixedVersions)
				case "state":
					return r.string(&f.FixState)
				}
				return nil
			})
		}
		return nil
	})
}

func readGrypeCVSS(r *jsonReader, f *Finding) error {
	c := CVSS{}
	err := r.object(func(name []byte) error {
		switch string(name) {
		case "source":
			return r.string(&c.Source)
		case "version":
			return r.string(&c.Version)
		case "vector":
			return r.string(&c.Vector)
		case "metrics":
			return r.object(func(name []byte) error {
				if string(name) == "baseScore" {
					return r.number(&c.Score)
				}
				return nil
			})
		}
		return nil
	})
	if len(f.CVSS) < maxRatings {
		f.CVSS = append(f.CVSS, c)
	}
	return err
}

// readGrypeRelated reads the same vulnerability in another namespace: another
// name, and another rating of it.
func readGrypeRelated(r *jsonReader, f *Finding) error {
	var id, severity, namespace string
	err := r.object(func(name []byte) error {
		switch string(name) {
		case "id":
			return r.string(&id)
		case "severity":
			return r.string(&severity)
		case "namespace":
			return r.string(&namespace)
		case "cvss":
			_, err := r.list(func() error { return readGrypeCVSS(r, f) })
			return err
		}
		return nil
	})
	f.Aliases = append(f.Aliases, id)
	if severity != "" && len(f.Ratings) < maxRatings {
		f.Ratings = append(f.Ratings, Rating{Source: keep(namespace), Said: keep(severity), Severity: NormalSeverity(severity)})
	}
	return err
}

func readGrypeArtifact(r *jsonReader, f *Finding) error {
	return r.object(func(name []byte) error {
		switch string(name) {
		case "name":
			return r.string(&f.Package)
		case "version":
			return r.string(&f.Version)
		case "purl":
			return r.string(&f.PURL)
		case "locations":
			_, err := r.list(func() error {
				if r.peek() == '"' { // before schema 2
					var path string
					err := r.string(&path)
					f.Locations = append(f.Locations, path)
					return err
				}
				return r.object(func(name []byte) error {
					if string(name) != "path" {
						return nil
					}
					var path string
					err := r.string(&path)
					f.Locations = append(f.Locations, path)
					return err
				})
			})
			return err
		}
		return nil
	})
}

// readGrypeRule says a rule in one line.
func readGrypeRule(r *jsonReader, reasons *[]string) error {
	var parts []string
	err := r.object(func(name []byte) error {
		if r.peek() != '"' {
			return nil
		}
		label := string(name)
		var text string
		err := r.string(&text)
		if text != "" {
			parts = append(parts, label+" "+oneLine(text))
		}
		return err
	})
	if len(*reasons) < maxAliases {
		*reasons = append(*reasons, strings.Join(parts, ", "))
	}
	return err
}
