import { testByHand } from "../conformance/by_hand.ts";
import { Bed } from "./testing_mysql.ts";

testByHand("mariadb", (url, spec) => new Bed(url, spec));
