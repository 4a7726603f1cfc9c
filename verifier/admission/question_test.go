// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// review makes a request about an object of a kind, with the old object if old is not nil.
func review(t *testing.T, kindName string, spec corev1.PodSpec, old *corev1.PodSpec) *admissionv1.AdmissionRequest {
	t.Helper()
	for _, k := range kinds() {
		if k.gvk.Kind != kindName {
			continue
		}
		req := &admissionv1.AdmissionRequest{
			UID: "u-1", Kind: k.gvk, Name: "thing", Namespace: "default", Operation: admissionv1.Create,
			Object: runtime.RawExtension{Raw: object(t, k, spec)},
		}
		if old != nil {
			req.Operation = admissionv1.Update
			req.OldObject.Raw = object(t, k, *old)
		}
		return req
	}
	t.Fatalf("no kind %q", kindName)
	return nil
}

func references(positions []Position) []string {
	var all []string
	for _, p := range positions {
		all = append(all, p.Reference)
	}
	return all
}

func TestAskOnCreateReturnsEveryReferenceOfEveryKind(t *testing.T) {
	for _, k := range kinds() {
		q, err := Ask(review(t, k.gvk.Kind, podSpecWith("a", "b", "c", "d"), nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := references(q.Judge); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
			t.Errorf("%s: got %q", k.gvk.Kind, got)
		}
	}
}

func TestAskOnUpdateLeavesOutOnlyWhatTheSameListHeld(t *testing.T) {
	tests := map[string]struct {
		now, old corev1.PodSpec
		want     []string
	}{
		"nothing changed":                     {podSpecWith("a", "b", "", "v"), podSpecWith("a", "b", "", "v"), nil},
		"unreadable legacy image unchanged":   {podSpecWith("NGINX:::", "", "", ""), podSpecWith("NGINX:::", "", "", ""), nil},
		"container changed":                   {podSpecWith("x", "b", "", ""), podSpecWith("a", "b", "", ""), []string{"x"}},
		"init container changed":              {podSpecWith("a", "x", "", ""), podSpecWith("a", "b", "", ""), []string{"x"}},
		"ephemeral container added":           {podSpecWith("a", "", "x", ""), podSpecWith("a", "", "", ""), []string{"x"}},
		"image volume changed":                {podSpecWith("a", "", "", "x"), podSpecWith("a", "", "", "v"), []string{"x"}},
		"image volume becomes a container":    {podSpecWith("v", "", "", ""), podSpecWith("a", "", "", "v"), []string{"v"}},
		"container becomes init container":    {podSpecWith("a", "a", "", ""), podSpecWith("a", "", "", ""), []string{"a"}},
		"container becomes ephemeral":         {podSpecWith("a", "", "a", ""), podSpecWith("a", "", "", ""), []string{"a"}},
		"images swapped between lists":        {podSpecWith("b", "a", "", ""), podSpecWith("a", "b", "", ""), []string{"b", "a"}},
		"digest added to an unchanged tag":    {podSpecWith("a:1@sha256:0", "", "", ""), podSpecWith("a:1", "", "", ""), []string{"a:1@sha256:0"}},
		"old object is a prefix of the new":   {podSpecWith("ab", "", "", ""), podSpecWith("a", "", "", ""), []string{"ab"}},
		"only the case of a letter differs":   {podSpecWith("A", "", "", ""), podSpecWith("a", "", "", ""), []string{"A"}},
		"old object had it twice, new thrice": {withContainers("a", "a", "a"), withContainers("a", "a"), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, kindName := range []string{"Pod", "Deployment", "CronJob"} {
				q, err := Ask(review(t, kindName, test.now, &test.old))
				if err != nil {
					t.Fatal(err)
				}
				if got := references(q.Judge); !slices.Equal(got, test.want) {
					t.Errorf("%s: got %q, want %q", kindName, got, test.want)
				}
			}
		})
	}
}

func withContainers(images ...string) corev1.PodSpec {
	var spec corev1.PodSpec
	for _, image := range images {
		spec.Containers = append(spec.Containers, corev1.Container{Name: "c", Image: image})
	}
	return spec
}

// An old object in a create request proves nothing: the server sends none, so whoever sent it is not the server.
func TestAskOnCreateIgnoresAnOldObject(t *testing.T) {
	spec := podSpecWith("a", "", "", "")
	req := review(t, "Pod", spec, &spec)
	req.Operation = admissionv1.Create
	q, err := Ask(req)
	if err != nil {
		t.Fatal(err)
	}
	if len(q.Judge) != 1 {
		t.Errorf("judged %q, want the one image", references(q.Judge))
	}
}

func TestAskKeepsOpenPlacesOfTemplatesOpenAndJudgesThoseOfPods(t *testing.T) {
	spec := podSpecWith("a", "", "", "v")
	spec.Volumes[0].Image.Reference = ""
	template, err := Ask(review(t, "Deployment", spec, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := references(template.Judge); !slices.Equal(got, []string{"a"}) {
		t.Errorf("template: judged %q, want only the filled-in place", got)
	}
	pod, err := Ask(review(t, "Pod", spec, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := references(pod.Judge); !slices.Equal(got, []string{"a", ""}) {
		t.Errorf("pod: judged %q, want both places", got)
	}
}

func TestAskRefusesWhatItCannotRead(t *testing.T) {
	ok := podSpecWith("a", "", "", "")
	change := func(f func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionRequest {
		req := review(t, "Pod", ok, &ok)
		f(req)
		return req
	}
	tests := map[string]*admissionv1.AdmissionRequest{
		"no object":            change(func(r *admissionv1.AdmissionRequest) { r.Object.Raw = nil }),
		"null object":          change(func(r *admissionv1.AdmissionRequest) { r.Object.Raw = []byte("null") }),
		"empty object":         change(func(r *admissionv1.AdmissionRequest) { r.Object.Raw = []byte("{}") }),
		"no old object":        change(func(r *admissionv1.AdmissionRequest) { r.OldObject.Raw = nil }),
		"broken old object":    change(func(r *admissionv1.AdmissionRequest) { r.OldObject.Raw = []byte(`{"spec":[]}`) }),
		"no operation":         change(func(r *admissionv1.AdmissionRequest) { r.Operation = "" }),
		"connect":              change(func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Connect }),
		"unknown kind":         change(func(r *admissionv1.AdmissionRequest) { r.Kind = metav1.GroupVersionKind{Version: "v1", Kind: "Scale"} }),
		"unknown version":      change(func(r *admissionv1.AdmissionRequest) { r.Kind.Version = "v2" }),
		"pod of another group": change(func(r *admissionv1.AdmissionRequest) { r.Kind.Group = "example.com" }),
		"no containers":        review(t, "Pod", corev1.PodSpec{}, nil),
		"controller without template": {
			Kind: gvk("", "ReplicationController"), Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: []byte(`{"spec":{}}`)},
		},
	}
	for name, req := range tests {
		t.Run(name, func(t *testing.T) {
			q, err := Ask(req)
			if !errors.Is(err, ErrUnreadable) {
				t.Errorf("got %+v, error %v; want ErrUnreadable", q, err)
			}
		})
	}
}

func TestAskAboutADeletionAsksNothing(t *testing.T) {
	q, err := Ask(&admissionv1.AdmissionRequest{Operation: admissionv1.Delete, Kind: gvk("", "Pod")})
	if err != nil || len(q.Judge) != 0 {
		t.Errorf("got %+v, %v", q, err)
	}
}

func TestStaticPodIsWhatItsOwnNodeReports(t *testing.T) {
	node := authenticationv1.UserInfo{Username: "system:node:n1", Groups: []string{"system:nodes", "system:authenticated"}}
	tests := map[string]struct {
		user       authenticationv1.UserInfo
		nodeName   string
		annotation string
		want       bool
	}{
		"its own node":                 {node, "n1", corev1.MirrorPodAnnotationKey, true},
		"another node":                 {node, "n2", corev1.MirrorPodAnnotationKey, false},
		"no node":                      {authenticationv1.UserInfo{Username: "system:node:", Groups: node.Groups}, "", corev1.MirrorPodAnnotationKey, false},
		"without annotation":           {node, "n1", "other", false},
		"an admin":                     {authenticationv1.UserInfo{Username: "admin", Groups: []string{"system:masters"}}, "n1", corev1.MirrorPodAnnotationKey, false},
		"node name without node group": {authenticationv1.UserInfo{Username: "system:node:n1", Groups: []string{"system:authenticated"}}, "n1", corev1.MirrorPodAnnotationKey, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := podSpecWith("a", "", "", "")
			spec.NodeName = test.nodeName
			req := review(t, "Pod", spec, nil)
			raw, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{test.annotation: "x"}}, Spec: spec})
			if err != nil {
				t.Fatal(err)
			}
			req.Object.Raw, req.UserInfo = raw, test.user
			q, err := Ask(req)
			if err != nil {
				t.Fatal(err)
			}
			if q.StaticPod != test.want {
				t.Errorf("got %t, want %t", q.StaticPod, test.want)
			}
			if len(q.Judge) != 1 {
				t.Error("its image is not judged")
			}
		})
	}
}

// FuzzAsk holds the reader of hostile objects against a reader that knows nothing of pods: whenever Ask succeeds on a new object, each
// string member named "image" of a container in the raw JSON is among the images to judge.
func FuzzAsk(f *testing.F) {
	f.Add([]byte(`{"spec":{"containers":[{"name":"a","image":"x"}]}}`))
	f.Add([]byte(`{"spec":{"containers":[{"name":"a","image":"x"}],"initContainers":[{"image":"y"}],"ephemeralContainers":[{"image":"z"}],"volumes":[{"image":{"reference":"v"}}]}}`))
	f.Add([]byte(`{"spec":{"containers":[{"image":"x","image":"y"}]}}`))
	f.Add([]byte(`{"spec":{"Containers":[{"Image":"x"}],"containers":[{"image":"y"}]}}`))
	f.Add([]byte(`{"spec":{"containers":[{"image":"y"}],"volumes":[{"image":null},{"image":{}}]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, err := Ask(&admissionv1.AdmissionRequest{
			Kind: gvk("", "Pod"), Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw},
		})
		if err != nil {
			return
		}
		var loose struct{ Spec map[string]any }
		if err := json.Unmarshal(raw, &loose); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
		judged := references(q.Judge)
		for member, value := range loose.Spec {
			list, _ := value.([]any)
			for _, item := range list {
				image := looseImage(strings.ToLower(member), item)
				if image != "" && !slices.Contains(judged, image) {
					t.Fatalf("image %q at spec.%s is not judged (judged %q)", image, member, judged)
				}
			}
		}
	})
}

func looseImage(list string, item any) string {
	o, _ := item.(map[string]any)
	switch list {
	case "containers", "initcontainers", "ephemeralcontainers":
		image, _ := o["image"].(string)
		return image
	case "volumes":
		source, _ := o["image"].(map[string]any)
		image, _ := source["reference"].(string)
		return image
	}
	return ""
}
