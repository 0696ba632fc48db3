import htm from "htm";
import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** Markup of Preact elements, written as a template. Every value in it is text or an element, never HTML. */
export const html = htm.bind(h);

/** What a request gives, asked anew whenever `key` changes: `{ value, error, reload }`. The former value stays while asking. */
export function useLoaded(load, key) {
  const [state, setState] = useState({ value: undefined, error: undefined });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    load(controller.signal).then(
      (value) => !controller.signal.aborted && setState({ value, error: undefined }),
      (error) => !controller.signal.aborted && setState((before) => ({ value: before.value, error })),
    );
    return () => controller.abort();
  }, [key, turn]);
  return { ...state, reload: () => setTurn((before) => before + 1) };
}

/** Whether a media query holds now. */
export function useMedia(query) {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const onChange = () => setMatches(list.matches);
    onChange();
    list.addEventListener("change", onChange);
    return () => list.removeEventListener("change", onChange);
  }, [query]);
  return matches;
}

/** The width in CSS pixels that an element has, followed as it changes: `[ref, width]`. */
export function useWidth() {
  const ref = useRef(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** A value that the browser keeps for this page; a browser that keeps nothing forgets it with the page. */
export function useKept(name, initial) {
  const [value, setValue] = useState(() => {
    try {
      return JSON.parse(localStorage.getItem(`zeph.${name}`)) ?? initial;
    } catch {
      return initial;
    }
  });
  const keep = (next) => {
    setValue(next);
    try {
      localStorage.setItem(`zeph.${name}`, JSON.stringify(next));
    } catch {
      // Storage is full or switched off.
    }
  };
  return [value, keep];
}
