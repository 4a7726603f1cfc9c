// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"
)

// OpenVEX 0.2.0 documents. Who may excuse a finding is decided by the
// statement's verified signer, never by the author that stands in the file.
// Source: github.com/openvex/spec/OPENVEX-SPEC.md

const openvexContext = "https://openvex.dev/ns"

// The states of a vulnerability in VEX.
const (
	VEXNotAffected        = "not_affected"
	VEXAffected           = "affected"
	VEXFixed              = "fixed"
	VEXUnderInvestigation = "under_investigation"
)

// VEX is a list of statements about vulnerabilities.
type VEX struct {
	Author     string    // as the file says: a label
	At         time.Time // when the document was made; zero if it does not say
	Statements []VEXStatement
}

// VEXStatement says what one vulnerability means for some products.
type VEXStatement struct {
	Vulnerability string
	Aliases       []string
	Products      []VEXProduct
	Status        string
	Justification string
	At            time.Time // its own, or the document's; zero if neither says
}

// VEXProduct names a product by its identifiers (purls for all we read), and
// the parts of it that the statement is about; without any it is about all.
type VEXProduct struct {
	IDs           []string
	Subcomponents []string
	// Versions are those of the product that the statement is about, exact ones
	// or ranges ("vers:npm/>=1|<2"); without any it is about all.
	Versions []string
	// Unresolved: the name means something to the document's author only.
	Unresolved bool
}

func openvexFormat() format {
	return format{
		name: "openvex", kind: EvidenceVEX, types: []string{openvexContext + "/v0.2.0", openvexContext},
		is: func(d *document) bool { return !d.list && strings.HasPrefix(d.text("@context"), openvexContext) }, read: readOpenVEX,
	}
}

type vexStatementJSON struct {
	Vulnerability struct {
		ID      string `json:"@id"`
		Name    string
		Aliases []string
	}
	Products        json.RawMessage `json:"products"`
	Status          string          `json:"status"`
	Justification   string          `json:"justification"`
	ImpactStatement string          `json:"impact_statement"`
	Timestamp       string          `json:"timestamp"`
}

type vexComponent struct {
	ID          string `json:"@id"`
	Identifiers struct{ PURL string }
}

type vexProductJSON struct {
	vexComponent
	Subcomponents []vexComponent
}

func readOpenVEX(d *document) (Evidence, error) {
	var author, timestamp string
	if err := d.into("author", &author); err != nil {
		return Evidence{}, err
	}
	if err := d.into("timestamp", &timestamp); err != nil {
		return Evidence{}, err
	}
	at, err := timeAt("$.timestamp", timestamp)
	if err != nil {
		return Evidence{}, err
	}
	v := &VEX{Author: keep(author), At: at}
	there, err := each("$.statements", d.members["statements"], func(place string, s vexStatementJSON) error {
		statement, err := s.statement(place, at)
		v.Statements = append(v.Statements, statement)
		return err
	})
	if err == nil && !there {
		err = unreadable("$.statements", "missing: the document says nothing")
	}
	return Evidence{VEX: v}, err
}

func (s vexStatementJSON) statement(place string, documentAt time.Time) (VEXStatement, error) {
	out := VEXStatement{Vulnerability: keep(s.Vulnerability.Name), Status: s.Status, Justification: keep(s.Justification), At: documentAt}
	if out.Vulnerability == "" { // documents before 0.2.0 have an id only
		out.Vulnerability = keep(s.Vulnerability.ID)
	}
	out.Aliases = keepUnique(s.Vulnerability.Aliases, out.Vulnerability, maxAliases)
	at, err := timeAt(place+".timestamp", s.Timestamp)
	if err != nil {
		return out, err
	}
	if !at.IsZero() {
		out.At = at
	}
	switch {
	case out.Vulnerability == "":
		return out, unreadable(place+".vulnerability.name", "missing")
	case s.Status == VEXNotAffected && s.Justification == "" && s.ImpactStatement == "":
		return out, unreadable(place+".justification", "not_affected needs a justification or an impact_statement")
	case s.Status != VEXNotAffected && s.Status != VEXAffected && s.Status != VEXFixed && s.Status != VEXUnderInvestigation:
		return out, unreadable(place+".status", "%s, want not_affected, affected, fixed or under_investigation", quote(s.Status))
	}
	_, err = each(place+".products", s.Products, func(place string, p vexProductJSON) error {
		product := VEXProduct{IDs: p.names()}
		if long := p.tooLong(); long != "" {
			return unreadable(place, "a name of more than %d bytes: %s…", maxText, quote(long[:maxTitle]))
		}
		if len(product.IDs) == 0 {
			return unreadable(place+".@id", "a product without a name")
		}
		for _, sub := range p.Subcomponents {
			product.Subcomponents = append(product.Subcomponents, sub.names()...)
		}
		if len(p.Subcomponents) > 0 && len(product.Subcomponents) == 0 {
			return unreadable(place+".subcomponents", "subcomponents without a name")
		}
		out.Products = append(out.Products, product)
		return nil
	})
	return out, err
}

func (c vexComponent) names() []string { return keepUnique([]string{c.ID, c.Identifiers.PURL}, "", 2) }

// tooLong is a name that cannot be kept whole: part of one means something else.
func (p *vexProductJSON) tooLong() string {
	for _, c := range append([]vexComponent{p.vexComponent}, p.Subcomponents...) {
		for _, name := range []string{c.ID, c.Identifiers.PURL} {
			if len(name) > maxText {
				return name
			}
		}
	}
	return ""
}

// wrapVEX makes an OpenVEX document of what another format says. A range of
// versions is a qualifier of the package URL. What only its author can resolve
// has no place in it.
func wrapVEX(_ []byte, d Document) (string, []byte, error) {
	type component struct {
		ID string `json:"@id"`
	}
	type statement struct {
		Impact        string      `json:"impact_statement,omitempty"`
		Action        string      `json:"action_statement,omitempty"`
		Products      []component `json:"products"`
		Status        string      `json:"status"`
		Timestamp     string      `json:"timestamp,omitempty"`
		Vulnerability struct {
			Aliases []string `json:"aliases,omitempty"`
			Name    string   `json:"name"`
		} `json:"vulnerability"`
	}
	// A document without a time has none here, though OpenVEX wants one: nobody
	// knows it, and it would be that of the statements.
	out := struct {
		Context    string      `json:"@context"`
		ID         string      `json:"@id,omitempty"`
		Author     string      `json:"author"`
		Statements []statement `json:"statements"`
		Timestamp  string      `json:"timestamp,omitempty"`
		Version    int         `json:"version"`
	}{Context: openvexContext + "/v0.2.0", Author: d.Evidence.VEX.Author, Statements: []statement{}, Timestamp: stamp(d.Evidence.VEX.At), Version: 1}
	size := 0
	for _, s := range d.Evidence.VEX.Statements {
		one := statement{Status: s.Status, Timestamp: stamp(s.At)}
		one.Vulnerability.Name, one.Vulnerability.Aliases = s.Vulnerability, s.Aliases
		switch s.Status {
		case VEXNotAffected:
			one.Impact = cmp.Or(s.Justification, "by the analysis in a CycloneDX document")
		case VEXAffected:
			one.Action = "by the analysis in a CycloneDX document"
		}
		for _, p := range s.Products {
			if size += p.written(); size > maxWritten {
				return "", nil, errWritten()
			}
			ids := p.named()
			if ids == nil {
				return "", nil, unreadable("$.vulnerabilities", "of %s: a product %s that OpenVEX cannot name (hint: attest the VEX as a document of its own, without components)",
					s.Vulnerability, quote(p.IDs[0]))
			}
			for _, id := range ids {
				one.Products = append(one.Products, component{id})
			}
		}
		out.Statements = append(out.Statements, one)
	}
	predicate, err := encodeJSON(out)
	if err != nil {
		return "", nil, err
	}
	// The id is made of the rest, so that it is the same whoever makes it.
	out.ID = "https://hallmark.dev/vex/" + DigestOf(predicate).Hex()
	predicate, err = encodeJSON(out)
	return openvexContext + "/v0.2.0", predicate, err
}

// named are names for exactly what a product means, nothing more: its own, or
// package URLs with its versions, or with ranges of them. Nil if there are none:
// it is a name that only its author can resolve.
func (p VEXProduct) named() []string {
	switch {
	case p.Unresolved:
		return nil
	case len(p.Versions) == 0:
		return p.IDs
	}
	var out []string
	for _, id := range p.IDs {
		u, ok := parsePURL(id)
		if !ok {
			return nil
		}
		for _, version := range p.Versions {
			name := ofVersion(id, u.version, version)
			if u.version != "" && u.version != version || len(name) > maxText {
				return nil
			}
			out = append(out, name)
		}
	}
	return out
}

// ofVersion is a package URL with a version, or a range of versions, put in. What
// else it says stays.
func ofVersion(id, has, version string) string {
	if has == version {
		return id
	}
	subpath, qualifiers := "", ""
	if at := strings.IndexByte(id, '#'); at >= 0 {
		id, subpath = id[:at], id[at:]
	}
	if at := strings.IndexByte(id, '?'); at >= 0 {
		id, qualifiers = id[:at], id[at:]
	}
	switch {
	case !strings.HasPrefix(version, "vers:"):
		id += "@" + escapePURL(version)
	case qualifiers == "":
		qualifiers = "?vers=" + escapePURL(version)
	default:
		qualifiers += "&vers=" + escapePURL(version)
	}
	return id + qualifiers + subpath
}
