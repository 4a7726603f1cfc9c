// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sigstore/fulcio/pkg/certificate"
)

const genericName = "generic"

// Generic describes the tokens of a CI that has no provider of its own, Jenkins
// among them. Values are templates: text in which {claim} stands for a claim of
// the token, and nothing else can be reached. Every claim that a template names
// must be there, as text or a whole number; {claim?} may be absent, and then
// the whole value is.
//
// Nothing here can tell whether a claim is true of the run: an administrator
// chooses most claims of Jenkins, and some of a build's variables can be set by
// whoever writes the job. Name claims that the CI's controller sets.
type Generic struct {
	// Claims are the claims that a token must have, with their type: text,
	// number (whole), boolean, or digits (text of digits). A claim that a
	// template names need not be listed unless it is no text.
	Claims map[string]string `yaml:"claims,omitempty"`
	// Run names the run, for example "{build_url}": another run of the same job
	// must give another text. It must name a claim that only a run has: those
	// that every OpenID Connect token has do not count.
	Run string `yaml:"run"`
	// SAN is the certificate's URI, for example "{sub}".
	SAN string `yaml:"san"`
	// SANPrefix is what every SAN must be under: an http(s) URL that ends with
	// a slash, under url. Tokens whose SAN is elsewhere are refused.
	SANPrefix string `yaml:"sanPrefix"`
	// Extensions are the certificate's, by the names of Fulcio's certificate
	// specification: buildSignerURI, buildSignerDigest, runnerEnvironment,
	// sourceRepositoryURI, sourceRepositoryDigest, sourceRepositoryRef,
	// sourceRepositoryIdentifier, sourceRepositoryOwnerURI,
	// sourceRepositoryOwnerIdentifier, buildConfigURI, buildConfigDigest,
	// buildTrigger, runInvocationURI, sourceRepositoryVisibilityAtSigning,
	// deploymentEnvironment. Name what is an id in preference to what is a name.
	Extensions map[string]string `yaml:"extensions,omitempty"`
}

// generic reads tokens as configuration describes them. What every provider
// gets is checked before: issuer, one audience, times, no login's claims. What
// stands for the provider's own knowledge is configuration: a run claim, a
// prefix that every certificate's URI is under, and types. Discovery documents
// of login servers are refused, since here nothing else tells a CI from one.
func generic() provider {
	return provider{
		name:           genericName,
		algorithms:     []string{"RS256"},
		defaultURL:     func(string) string { return "" },
		read:           readGeneric,
		settings:       func(s *Source) error { return s.checkGeneric() },
		checkDiscovery: refuseLoginServer,
	}
}

// extension is one extension that configuration may fill.
type extension struct {
	set func(e *certificate.Extensions, value string)
	// form of the value; empty values have been left out.
	form func(value string) bool
	want string
}

func anyText(string) bool { return true }

// isCertificateURI accepts http(s) URIs in the form that a certificate keeps.
func isCertificateURI(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.User == nil && u.String() == text &&
		!strings.HasSuffix(text, "#") && !climbs(u.Path)
}

func genericExtensions() map[string]extension {
	const uri, text, commit = "an http(s) URI in its normal form", "text", "a full commit id"
	return map[string]extension{
		"buildSignerURI":                      {func(e *certificate.Extensions, v string) { e.BuildSignerURI = v }, isCertificateURI, uri},
		"buildSignerDigest":                   {func(e *certificate.Extensions, v string) { e.BuildSignerDigest = v }, commitForm.MatchString, commit},
		"runnerEnvironment":                   {func(e *certificate.Extensions, v string) { e.RunnerEnvironment = v }, anyText, text},
		"sourceRepositoryURI":                 {func(e *certificate.Extensions, v string) { e.SourceRepositoryURI = v }, isCertificateURI, uri},
		"sourceRepositoryDigest":              {func(e *certificate.Extensions, v string) { e.SourceRepositoryDigest = v }, commitForm.MatchString, commit},
		"sourceRepositoryRef":                 {func(e *certificate.Extensions, v string) { e.SourceRepositoryRef = v }, validRef, "one full ref"},
		"sourceRepositoryIdentifier":          {func(e *certificate.Extensions, v string) { e.SourceRepositoryIdentifier = v }, anyText, text},
		"sourceRepositoryOwnerURI":            {func(e *certificate.Extensions, v string) { e.SourceRepositoryOwnerURI = v }, isCertificateURI, uri},
		"sourceRepositoryOwnerIdentifier":     {func(e *certificate.Extensions, v string) { e.SourceRepositoryOwnerIdentifier = v }, anyText, text},
		"buildConfigURI":                      {func(e *certificate.Extensions, v string) { e.BuildConfigURI = v }, isCertificateURI, uri},
		"buildConfigDigest":                   {func(e *certificate.Extensions, v string) { e.BuildConfigDigest = v }, commitForm.MatchString, commit},
		"buildTrigger":                        {func(e *certificate.Extensions, v string) { e.BuildTrigger = v }, anyText, text},
		"runInvocationURI":                    {func(e *certificate.Extensions, v string) { e.RunInvocationURI = v }, isCertificateURI, uri},
		"sourceRepositoryVisibilityAtSigning": {func(e *certificate.Extensions, v string) { e.SourceRepositoryVisibilityAtSigning = v }, anyText, text},
		"deploymentEnvironment":               {func(e *certificate.Extensions, v string) { e.DeploymentEnvironment = v }, anyText, text},
	}
}

// claimTypes are the values of Generic.Claims.
var claimTypes = []string{"text", "number", "boolean", "digits"}

func (s *Source) checkGeneric() error {
	g := s.Generic
	if g == nil {
		return errors.New("generic is missing: it describes the tokens of this CI")
	}
	for name, kind := range g.Claims {
		if !slices.Contains(claimTypes, kind) {
			return fmt.Errorf("generic.claims: %s: type %q is not one of %s", name, kind, strings.Join(claimTypes, ", "))
		}
	}
	for _, value := range append(slices.Collect(maps.Values(g.Extensions)), g.Run, g.SAN) {
		t, _ := parseTemplate(value) // its error is told below, with its name
		for _, claim := range t.claims() {
			if g.Claims[claim] == "boolean" {
				return fmt.Errorf("generic: the template %q names %s, which is true or false and no text", value, claim)
			}
		}
	}
	run, err := parseTemplate(g.Run)
	if err != nil {
		return fmt.Errorf("generic.run: %w", err)
	}
	if !slices.ContainsFunc(run.claims(), func(c string) bool { return !slices.Contains(everyTokensClaims, c) }) {
		return fmt.Errorf("generic.run %q names no claim that only a run has (hint: {build_url} or {build_number}; a person's token has sub and jti, too)", g.Run)
	}
	if run.optional() {
		return fmt.Errorf("generic.run %q: the run's claims are compulsory, without a question mark", g.Run)
	}
	san, err := parseTemplate(g.SAN)
	if err != nil {
		return fmt.Errorf("generic.san: %w", err)
	}
	if len(san.claims()) == 0 || san.optional() {
		return fmt.Errorf("generic.san %q must name a claim, without a question mark: jobs must not share a certificate's URI", g.SAN)
	}
	if !isCertificateURI(g.SANPrefix) || !strings.HasSuffix(g.SANPrefix, "/") || s.URL == "" || !strings.HasPrefix(g.SANPrefix, strings.TrimRight(s.URL, "/")+"/") {
		return fmt.Errorf("generic.sanPrefix %q is not a URL under url %q that ends with a slash", g.SANPrefix, s.URL)
	}
	known := genericExtensions()
	for name, value := range g.Extensions {
		if _, ok := known[name]; !ok {
			return fmt.Errorf("generic.extensions: %q is not one of %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if _, err := parseTemplate(value); err != nil {
			return fmt.Errorf("generic.extensions: %s: %w", name, err)
		}
	}
	return nil
}

func readGeneric(r *reader, s Source) run {
	g := s.Generic
	for _, name := range slices.Sorted(maps.Keys(g.Claims)) {
		r.typed(name, g.Claims[name], required)
	}
	read := run{id: r.render(g, g.Run), san: r.render(g, g.SAN)}
	known := genericExtensions()
	for _, name := range slices.Sorted(maps.Keys(g.Extensions)) {
		value := r.render(g, g.Extensions[name])
		if value == "" || r.err() != nil {
			continue
		}
		if e := known[name]; e.form(value) {
			e.set(&read.extensions, value)
		} else {
			r.fail(ReasonBadClaim, "%s would be %.200q, which is not %s", name, value, e.want)
		}
	}
	if r.err() != nil {
		return run{}
	}
	u, err := url.Parse(read.san)
	switch {
	case !strings.HasPrefix(read.san, g.SANPrefix) || len(read.san) == len(g.SANPrefix):
		r.fail(ReasonContradiction, "the certificate's URI would be %.200q, which is not under %s", read.san, g.SANPrefix)
	case !isCertificateURI(read.san) || err != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		r.fail(ReasonBadClaim, "the certificate's URI would be %.200q, which is not a URI in its normal form", read.san)
	}
	return read
}

// typed reads a claim of a configured type as text; the names are the claim's
// own, whatever they contain.
func (r *reader) typed(name, kind string, p presence) string {
	switch kind {
	case "number":
		return r.whole(name, p)
	case "digits":
		return r.digits(name, p)
	case "boolean":
		r.boolean(name, p)
		return ""
	}
	return r.text(name, p)
}

// render fills a template that was checked with the source.
func (r *reader) render(g *Generic, text string) string {
	t, err := parseTemplate(text)
	if err != nil {
		r.fail(ReasonBadClaim, "the template %q: %v", text, err)
		return ""
	}
	var b strings.Builder
	for _, part := range t {
		if part.claim == "" {
			b.WriteString(part.text)
			continue
		}
		p := required
		if part.optional {
			p = nullable
		}
		value := r.typed(part.claim, g.Claims[part.claim], p)
		if value == "" {
			return "" // refused already, unless it is optional
		}
		b.WriteString(value)
	}
	return b.String()
}

// refuseLoginServer refuses a discovery document that offers what a browser
// needs after a login. A CI's document names keys and no more.
func refuseLoginServer(members map[string]any) error {
	for _, name := range []string{"userinfo_endpoint", "end_session_endpoint", "device_authorization_endpoint", "registration_endpoint", "check_session_iframe"} {
		if _, has := members[name]; has {
			return fmt.Errorf("it has %s, so people log in there; only CI systems may ask for signatures", name)
		}
	}
	return nil
}
