import { testByHand } from "../conformance/by_hand.ts";
import { Bed } from "./testing_postgres.ts";

testByHand("postgres", (url, spec) => new Bed(url, spec));
