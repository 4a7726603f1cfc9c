// SPDX-License-Identifier: Apache-2.0

package attest

import "strconv"

// What Trivy finds beside vulnerabilities.

// misconfiguration reads a check, which is no finding if it has passed.
func (t *trivyReport) misconfiguration(f *Finding) (is bool, err error) {
	r := t.r
	var id, status, line string
	err = r.element(func(name []byte) error {
		switch string(name) {
		case "ID":
			return r.string(&id)
		case "AVDID":
			var avd string
			err := r.string(&avd)
			f.Aliases = append(f.Aliases, avd)
			return err
		case "Title":
			return r.string(&f.Title)
		case "Severity":
			return r.string(&f.SaidSeverity)
		case "Status":
			return r.string(&status)
		case "CauseMetadata":
			return r.object(func(name []byte) error {
				if string(name) != "StartLine" {
					return nil
				}
				return t.line(&line)
			})
		}
		return nil
	})
	f.Kind, f.ID, f.Severity = FindingMisconfiguration, id, NormalSeverity(f.SaidSeverity)
	t.others = true
	if status == "EXCEPTION" && f.Suppressed == nil {
		f.Suppressed = &Suppression{By: "trivy", Reason: "exception"}
	}
	if line != "" {
		f.Locations = []string{line}
	}
	return status != "PASS", err
}

// secret reads where a secret is. Match and Code, which hold it, are passed
// over.
func (t *trivyReport) secret(f *Finding) (is bool, err error) {
	r := t.r
	var line string
	err = r.element(func(name []byte) error {
		switch string(name) {
		case "RuleID":
			return r.string(&f.ID)
		case "Title":
			return r.string(&f.Title)
		case "Severity":
			return r.string(&f.SaidSeverity)
		case "StartLine":
			return t.line(&line)
		}
		return nil
	})
	f.Kind, f.Severity, t.others = FindingSecret, NormalSeverity(f.SaidSeverity), true
	if line != "" {
		f.Locations = []string{line}
	}
	return true, err
}

func (t *trivyReport) license(f *Finding) (is bool, err error) {
	r := t.r
	var path string
	err = r.element(func(name []byte) error {
		switch string(name) {
		case "Name":
			return r.string(&f.ID)
		case "Category":
			return r.string(&f.Title)
		case "Severity":
			return r.string(&f.SaidSeverity)
		case "PkgName":
			return r.string(&f.Package)
		case "FilePath":
			return r.string(&path)
		}
		return nil
	})
	f.Kind, f.Severity, t.others = FindingLicense, NormalSeverity(f.SaidSeverity), true
	if path != "" {
		f.Locations = []string{path}
	}
	return true, err
}

// line reads a line's number as ":12".
func (t *trivyReport) line(to *string) error {
	var n int
	err := t.r.count(&n)
	if n > 0 {
		*to = ":" + strconv.Itoa(n)
	}
	return err
}
